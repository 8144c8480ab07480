// Asks each host that is named by https, as any Go program does, and prints one line for each: ok, or why not.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	client := http.Client{Timeout: 10 * time.Second}
	for _, host := range os.Args[1:] {
		answer, err := client.Get("https://" + host + "/probe")
		if err != nil {
			fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
			continue
		}
		answer.Body.Close()
		fmt.Println("ok")
	}
}

// Verifies a chain the way every Go client does (crypto/x509): main CA.pem CHAIN.pem NAME.
//
// Exit 0: accepted. Exit 1: refused, the reason on standard output. Exit 2: could not be asked.
package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Println("usage: main CA.pem CHAIN.pem NAME")
		os.Exit(2)
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, certificate := range read(os.Args[1]) {
		roots.AddCert(certificate)
	}
	chain := read(os.Args[2])
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: os.Args[3]})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// read gives the certificates of a PEM file, in order; at least one.
func read(path string) (certificates []*x509.Certificate) {
	rest, err := os.ReadFile(path)
	for err == nil {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		var certificate *x509.Certificate
		if certificate, err = x509.ParseCertificate(block.Bytes); err == nil {
			certificates = append(certificates, certificate)
		}
	}
	if err != nil || len(certificates) == 0 {
		fmt.Println("cannot read", path, err)
		os.Exit(2)
	}
	return certificates
}

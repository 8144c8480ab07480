module trustprobe

go 1.19

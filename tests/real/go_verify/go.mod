module nezha/goverify

go 1.21

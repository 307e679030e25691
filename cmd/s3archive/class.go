package main

import (
	"context"

	"github.com/valyala/fasthttp"
)

const (
	classAttr   = "user.s3archive.class"
	restoreAttr = "user.s3archive.restore"
)

var classes = map[string]bool{
	"STANDARD": true, "REDUCED_REDUNDANCY": true, "STANDARD_IA": true,
	"ONEZONE_IA": true, "INTELLIGENT_TIERING": true, "GLACIER_IR": true,
	"GLACIER": true, "DEEP_ARCHIVE": true,
}

// archived classes cannot be read before a restore.
func archived(class string) bool { return class == "GLACIER" || class == "DEEP_ARCHIVE" }

// asked is the storage class that the request asks for.
func asked(ctx context.Context) (string, error) {
	class := ""
	if request, ok := ctx.(*fasthttp.RequestCtx); ok {
		class = string(request.Request.Header.Peek("x-amz-storage-class"))
	}
	if class == "" {
		class = "STANDARD"
	}
	if !classes[class] {
		return "", errClass
	}
	return class, nil
}

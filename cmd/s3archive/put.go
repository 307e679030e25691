package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sys/unix"
)

func (a *archive) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	class, err := asked(ctx)
	if err != nil {
		return s3response.PutObjectOutput{}, err
	}
	return a.PutObjectWithPostFunc(ctx, in, func(f *os.File) error {
		return unix.Fsetxattr(int(f.Fd()), classAttr, []byte(class), 0)
	})
}

// source checks that the source of a copy can be read.
func (a *archive) source(copySource *string) error {
	bucket, key, _, err := backend.ParseCopySource(*copySource)
	if err == nil && !a.readable(a.look(bucket, key)) {
		err = errInTier
	}
	return err
}

func (a *archive) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	class, err := asked(ctx)
	if err == nil {
		err = a.source(in.CopySource)
	}
	if err != nil {
		return s3response.CopyObjectOutput{}, err
	}
	res, err := a.Posix.CopyObject(ctx, in)
	if err == nil {
		path := filepath.Join(*in.Bucket, *in.Key)
		unix.Removexattr(path, restoreAttr)
		err = unix.Setxattr(path, classAttr, []byte(class), 0)
	}
	return res, err
}

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sys/unix"
)

func (a *archive) upload(id string) string {
	return filepath.Join(a.state, "uploads", filepath.Base(id))
}

func (a *archive) uploadClass(id *string) string {
	if id == nil {
		return "STANDARD"
	}
	data, err := os.ReadFile(a.upload(*id))
	if err != nil {
		return "STANDARD"
	}
	return string(data)
}

func (a *archive) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	class, err := asked(ctx)
	if err != nil {
		return s3response.InitiateMultipartUploadResult{}, err
	}
	res, err := a.Posix.CreateMultipartUpload(ctx, in)
	if err == nil {
		err = os.WriteFile(a.upload(res.UploadId), []byte(class), 0o600)
	}
	return res, err
}

func (a *archive) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	class := a.uploadClass(in.UploadId)
	// The class is set before the object becomes visible; the copying of the
	// data is left to the gateway, which an error here asks for.
	res, version, err := a.CompleteMultipartUploadWithCopy(ctx, in, func(_, to *os.File) (bool, error) {
		if err := unix.Fsetxattr(int(to.Fd()), classAttr, []byte(class), 0); err != nil {
			return true, err
		}
		return true, errors.ErrUnsupported
	})
	if err == nil {
		os.Remove(a.upload(*in.UploadId))
	}
	return res, version, err
}

func (a *archive) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput) error {
	err := a.Posix.AbortMultipartUpload(ctx, in)
	if err == nil {
		os.Remove(a.upload(*in.UploadId))
	}
	return err
}

func (a *archive) ListParts(ctx context.Context, in *s3.ListPartsInput) (s3response.ListPartsResult, error) {
	res, err := a.Posix.ListParts(ctx, in)
	res.StorageClass = types.StorageClass(a.uploadClass(in.UploadId))
	return res, err
}

func (a *archive) ListMultipartUploads(ctx context.Context, in *s3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	res, err := a.Posix.ListMultipartUploads(ctx, in)
	for i := range res.Uploads {
		res.Uploads[i].StorageClass = types.StorageClass(a.uploadClass(&res.Uploads[i].UploadID))
	}
	return res, err
}

func (a *archive) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	if err := a.source(in.CopySource); err != nil {
		return s3response.CopyPartResult{}, err
	}
	return a.Posix.UploadPartCopy(ctx, in)
}

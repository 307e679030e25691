package backends

import "context"

// A BatchThawer is a Thawer whose service thaws many files by one job of its
// own (S3 Batch Operations, cold-storage spec section 8).
type BatchThawer interface {
	Thawer

	// BatchAbove is how many files have to be thawed for a job to be better
	// than a request for each; 0 when this store has no jobs.
	BatchAbove() int

	// ThawBatch asks for the files by one job and waits until the service has
	// sent every request, which may take hours; that they are readable is told
	// by listings. All of them must be frozen. The speed must be one that jobs
	// have, else the error is ErrUnsupported before anything is sent.
	//
	// The token makes it idempotent: the same token is the same job, also after the
	// process died, whatever files are named then. answered is told what became of each file, by
	// one goroutine; files that it is not told of when ThawBatch fails may have
	// been asked for or not.
	ThawBatch(ctx context.Context, token string, names []string, req ThawRequest,
		answered func(name string, outcome ThawOutcome, err error)) error
}

// BatchAbove returns that of a store; 0 for one without jobs.
func BatchAbove(s Store) int {
	if b, ok := s.(BatchThawer); ok {
		return b.BatchAbove()
	}
	return 0
}

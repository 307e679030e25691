package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3control"
	smithyendpoints "github.com/aws/smithy-go/endpoints"
	"github.com/aws/smithy-go/logging"

	"github.com/isotherm-backup/isotherm/backends"
	"github.com/isotherm-backup/isotherm/backends/network"
)

// defaultRegion signs for services that do not care, and is Amazon's first.
const defaultRegion = "us-east-1"

// connect makes the clients out of the AWS configuration and our own.
func (s *Store) connect(ctx context.Context) error {
	c := &s.config
	own := awshttp.NewBuildableClient()
	options := []func(*config.LoadOptions) error{
		config.WithHTTPClient(own),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithLogger(logging.Nop{}),
		// We choose the checksums ourselves, and services that only resemble S3
		// refuse those that the SDK would add.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(c.Profile))
	}
	if c.Credentials != nil {
		options = append(options, config.WithCredentialsProvider(c.Credentials))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return fmt.Errorf("AWS configuration: %w", err)
	}
	// The SDK asks for credentials with its own client, which is the only one to
	// which it tells whose certificates AWS_CA_BUNDLE and the profile trust.
	if with, ok := loaded.HTTPClient.(*awshttp.BuildableClient); ok && with != own {
		s.transport.Trust(with.GetTransport().TLSClientConfig.RootCAs)
	}
	loaded.HTTPClient = &http.Client{Transport: s.transport, CheckRedirect: redirect}
	if loaded.Region == "" {
		loaded.Region = defaultRegion
	}
	c.Region = loaded.Region
	loaded.Credentials = search{loaded.Credentials}
	s.client = sdk.NewFromConfig(loaded, func(o *sdk.Options) {
		o.UsePathStyle = c.PathStyle
		o.DisableS3ExpressSessionAuth = aws.Bool(true)
		o.DisableLogOutputChecksumValidationSkipped = true
		if c.Endpoint != "" {
			o.BaseEndpoint = &c.Endpoint
		}
	})
	if s.hasJobs() {
		s.control = s3control.NewFromConfig(loaded, func(o *s3control.Options) {
			if c.Batch.Endpoint != "" {
				o.EndpointResolverV2 = controlAt(c.Batch.Endpoint)
			}
		})
	}
	return nil
}

// redirect follows what keeps method and body, as the SDK's own client does:
// other redirects are told as errors, with the region to go to.
func redirect(req *http.Request, _ []*http.Request) error {
	switch req.Response.StatusCode {
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return nil
	}
	return http.ErrUseLastResponse
}

// search is the SDK's search for credentials.
type search struct{ inner aws.CredentialsProvider }

// Retrieve marks what went wrong as a matter of credentials.
func (s search) Retrieve(ctx context.Context) (aws.Credentials, error) {
	creds, err := s.inner.Retrieve(ctx)
	if err != nil && ctx.Err() == nil {
		err = &credentialsError{err}
	}
	return creds, err
}

// A credentialsError says that no credentials were found. It is an
// fs.ErrPermission, or ErrTransient when whoever gives them out did not answer.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string {
	return fmt.Sprintf("no credentials (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile): %v", e.err)
}

func (e *credentialsError) Unwrap() error { return e.err }

// Is reports the kind.
func (e *credentialsError) Is(target error) bool {
	if network.Transient(e.err) {
		return target == backends.ErrTransient
	}
	return target == fs.ErrPermission
}

// controlAt is where the control service is. The SDK would put the account's
// number before any other host name.
type controlAt string

// ResolveEndpoint returns the one endpoint.
func (c controlAt) ResolveEndpoint(context.Context, s3control.EndpointParameters) (smithyendpoints.Endpoint, error) {
	u, err := url.Parse(string(c))
	if err != nil {
		return smithyendpoints.Endpoint{}, errors.New("control_endpoint is no URL")
	}
	return smithyendpoints.Endpoint{URI: *u}, nil
}

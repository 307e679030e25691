//go:build unix

// Package servers gives tests real servers to talk to: OpenStack Swift with
// Keystone and a sealing policy, and S3 with archive classes.
//
// Swift is started once for all tests, by .ci/test or by hand:
//
//	eval "$(internal/servers/swift-up)"
//	internal/servers/swift-down --purge
//
// Tests share it, so each works in containers of its own: see
// [SwiftServer.NewContainer]. An S3 server is cheap, so each call of [S3Archive]
// starts one.
//
// Both listen on loopback only, and all their passwords are public: see [Secrets].
package servers

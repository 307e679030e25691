// Package backends defines Store, one place that holds files, and its errors and states.
//
// A place is a bucket with a prefix, a container, or a directory. Every Store
// keeps the same promises, which package backendtest checks:
//
//   - a file is not visible under its name before it is whole, and a failed or
//     cancelled Put leaves neither the new file nor damages the old one;
//   - what is read is what was put: a Get that ends short or wrong is an error;
//   - a frozen file is a typed error (FrozenError), never a generic failure and
//     never a silent wait;
//   - a listing that cannot be finished ends in an error: a store that cannot
//     be listed is never taken for an empty one.
//
// Stores know nothing of tiers or archives. What every store shares (retry,
// counting, limits) wraps a Store and is a Store.
package backends

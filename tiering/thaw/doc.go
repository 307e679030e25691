// Package thaw plans and carries out the thawing of frozen files.
//
// NewPlan is a pure function: from the files that are needed, their copies and
// the conditions of the stores it finds the cheapest way to have everything
// downloaded by a deadline, and quotes what each speed would cost. A Job
// carries a plan out. The plan is written down, locally and in the hot tier,
// before the first request, and never changes; everything else is read from
// the stores' listings, so that a job can be killed at any moment and carried
// on by any machine that has the policy.
package thaw

package thaw

// NewPlan makes the cheapest plan that meets the request's deadline. It sends
// nothing. Errors: *DeadlineError, *CostError, *SpeedError, ErrNoCopy. With a
// *CostError or a *DeadlineError the plan is returned as well, so that it can
// be shown; it must not be carried out.
func NewPlan(r Request) (*Plan, error) { return nil, errNotYet }

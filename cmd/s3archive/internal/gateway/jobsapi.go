package gateway

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v3"

	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/batch"
	"github.com/isotherm-backup/isotherm/cmd/s3archive/internal/glacier"
)

// jobsPath begins the paths of the part of the S3 Control API that is about jobs.
const jobsPath = "/v20180820/jobs"

// jobsAPI serves CreateJob, ListJobs, DescribeJob, UpdateJobStatus and UpdateJobPriority.
func (g *Gateway) jobsAPI(ctx fiber.Ctx) error {
	if ctx.Get("x-amz-account-id") != g.account {
		return &glacier.Refusal{Status: http.StatusForbidden, Code: "AccessDenied", Message: "The account is another one"}
	}
	if f := g.control.Settings().Flavour; f != glacier.AWS {
		return &glacier.Refusal{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "This provider has no batch operations"}
	}
	body, err := g.jobsAnswer(ctx)
	if err != nil {
		return err
	}
	ctx.Set(fiber.HeaderContentType, fiber.MIMEApplicationXML)
	return ctx.Send(body)
}

func (g *Gateway) jobsAnswer(ctx fiber.Ctx) ([]byte, error) {
	id, what, _ := strings.Cut(strings.Trim(strings.TrimPrefix(ctx.Path(), jobsPath), "/"), "/")
	method := ctx.Method()
	switch {
	case method == http.MethodPost && id == "":
		return g.createJob(ctx)
	case method == http.MethodGet && id == "":
		return g.listJobs(ctx)
	case method == http.MethodGet && what == "":
		job, err := g.jobs.Describe(id)
		if err != nil {
			return nil, err
		}
		return g.jobs.DescribeAnswer(job)
	case method == http.MethodPost && what == "status":
		reason := strings.Clone(ctx.Query("statusUpdateReason")) // it outlives the request, whose memory fiber uses again
		job, err := g.jobs.Update(id, batch.Status(ctx.Query("requestedJobStatus")), reason, g.Now())
		if err != nil {
			return nil, err
		}
		return batch.StatusAnswer(job)
	case method == http.MethodPost && what == "priority":
		priority, err := strconv.Atoi(ctx.Query("priority"))
		if err != nil {
			return nil, &glacier.Refusal{Status: http.StatusBadRequest, Code: "BadRequestException", Message: "The priority is no number"}
		}
		job, err := g.jobs.SetPriority(id, priority)
		if err != nil {
			return nil, err
		}
		return batch.PriorityAnswer(job)
	default:
		return nil, &glacier.Refusal{Status: http.StatusNotImplemented, Code: "NotImplemented", Message: "This operation is not implemented here"}
	}
}

func (g *Gateway) createJob(ctx fiber.Ctx) ([]byte, error) {
	spec, err := batch.ParseSpec(ctx.BodyRaw())
	if err != nil {
		return nil, err
	}
	id, err := g.jobs.Create(spec, g.Now())
	if err != nil {
		return nil, err
	}
	return batch.CreateAnswer(id)
}

func (g *Gateway) listJobs(ctx fiber.Ctx) ([]byte, error) {
	var statuses []batch.Status
	for _, s := range ctx.Request().URI().QueryArgs().PeekMulti("jobStatuses") {
		statuses = append(statuses, batch.Status(s))
	}
	size := maxPage
	if n, err := strconv.Atoi(ctx.Query("maxResults")); err == nil && n > 0 {
		size = min(n, maxPage)
	}
	return batch.ListAnswer(g.jobs.List(statuses), ctx.Query("nextToken"), size)
}

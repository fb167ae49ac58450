package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
)

func TestMessagesOfAllMailboxesAreListedInPages(t *testing.T) {
	t.Parallel()
	acked := time.Date(2026, time.March, 1, 9, 0, 0, 0, time.UTC)
	b := setup(t, &fake{messages: []domain.Message{
		{Source: "llm", Seq: 1, TaskID: "a", PoolID: "llm", Status: domain.StatusCompleted, AckedAt: &acked},
		{Source: "llm", Seq: 2, TaskID: "b", PoolID: "llm", Status: domain.StatusFailed},
		{Source: "gpu", Seq: 1, TaskID: "c", PoolID: "gpu", Status: domain.StatusDropped},
	}})
	var read []string
	for path := "/messages?limit=1"; ; {
		res := b.do(t, get, path, "")
		require.Equal(t, http.StatusOK, res.status, res.body)
		var page api.PostedPage
		require.NoError(t, json.Unmarshal([]byte(res.body), &page))
		for _, m := range page.Messages {
			read = append(read, m.TaskID)
			require.Equal(t, m.TaskID == "a", m.AcknowledgedAt != nil)
		}
		if page.NextCursor == "" {
			break
		}
		path = "/messages?limit=1&cursor=" + url.QueryEscape(page.NextCursor)
	}
	require.Equal(t, []string{"a", "b", "c"}, read)

	res := b.do(t, get, "/messages?poolId=gpu", "")
	var page api.PostedPage
	require.NoError(t, json.Unmarshal([]byte(res.body), &page))
	require.Len(t, page.Messages, 1)
	require.Equal(t, "c", page.Messages[0].TaskID)

	p := b.do(t, get, "/messages?cursor=x", "").problem(t, http.StatusUnprocessableEntity, domain.CodeInvalid)
	require.Equal(t, "query.cursor", p.Errors[0].Location)
}

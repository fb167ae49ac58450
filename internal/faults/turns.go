package faults

import (
	"bufio"
	"context"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

var turnsLine = regexp.MustCompile(`^parkinglot_turn_seconds_count\{.*outcome="([a-z_]+)".*\} ([0-9]+)$`)

// turns adds up the turns of the servers by their outcome. A server that does not answer adds
// nothing: they are told for the reader, and nothing rests on them.
func (w *world) turns(ctx context.Context) map[string]int {
	all := map[string]int{}
	for _, url := range w.addresses() {
		scrape(ctx, url+"/metrics", all)
	}
	return all
}

func scrape(ctx context.Context, url string, into map[string]int) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return
	}
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		return
	}
	defer res.Body.Close() //nolint:errcheck // only read
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if found := turnsLine.FindStringSubmatch(lines.Text()); found != nil {
			n, _ := strconv.Atoi(found[2]) // digits
			into[found[1]] += n
		}
	}
}

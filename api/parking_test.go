package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/parkinglot/parkinglot/api"
	"github.com/parkinglot/parkinglot/internal/domain"
	"github.com/parkinglot/parkinglot/internal/garage"
	"github.com/parkinglot/parkinglot/internal/store"
	"github.com/parkinglot/parkinglot/internal/store/sqlite"
)

// parkingAt is a server whose parking half is the real one, in memory.
func parkingAt(t *testing.T) bundle {
	t.Helper()
	backend, err := sqlite.Open(t.Context(), sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backend.Close()) })
	server := httptest.NewServer(api.New(&fake{}, api.Options{Parking: garage.New(garage.Options{Store: backend})}))
	t.Cleanup(server.Close)
	return bundle{fake: &fake{}, url: server.URL}
}

const (
	strategy = `{"strategyId":"day","name":"Day","timeZone":"Europe/Berlin","currency":"EUR","graceMinutes":0,
		"tiers":[{"fromMinute":0,"toMinute":null,"incrementMinutes":60,"value":200}],"periodCap":null,"exitWindowMinutes":15,"lostFee":5000}`
	facility = `{"facilityId":"central","name":"Central","timeZone":"Europe/Berlin","currency":"EUR","pricingStrategyId":"day"}`
	spotsCSV = "spotId,kind,level,row,position,features\nA-1,regular,1,1,1,ev;covered\nA-2,regular,1,1,2,\n"
)

// must sends a request that has to be answered with status.
func (b bundle) must(t *testing.T, status int, method, path, body string, headers ...string) answer {
	t.Helper()
	a := b.do(t, method, path, body, headers...)
	require.Equal(t, status, a.status, "%s %s: %s", method, path, a.body)
	return a
}

func garageWithSpots(t *testing.T) bundle {
	t.Helper()
	b := parkingAt(t)
	b.must(t, http.StatusCreated, post, "/pricing-strategies", strategy)
	b.must(t, http.StatusCreated, post, "/facilities", facility)
	b.must(t, http.StatusOK, post, "/facilities/central/spots/import", spotsCSV, "Content-Type", "text/csv")
	return b
}

func vehicleBody(plate string) string {
	return fmt.Sprintf(`{"plate":%q,"jurisdiction":"de","size":"medium","type":"car"}`, plate)
}

func TestParkingFromEntryToExit(t *testing.T) {
	t.Parallel()
	b := garageWithSpots(t)
	entry := time.Now().Add(-90 * time.Minute).UTC().Truncate(time.Second)
	body := fmt.Sprintf(`{"gateId":"north","sequence":1,"vehicle":%s,"at":%q,"features":["ev"]}`, vehicleBody("b-ab 1"), entry.Format(time.RFC3339))
	var ticket, again api.Ticket
	b.must(t, http.StatusCreated, post, "/facilities/central/entries", body).into(t, &ticket)
	require.Equal(t, []string{"A-1"}, ticket.SpotIDs)
	require.Equal(t, entry, ticket.EntryTime)
	b.must(t, http.StatusCreated, post, "/facilities/central/entries", body).into(t, &again)
	require.Equal(t, ticket, again)
	b.do(t, post, "/facilities/central/entries", strings.Replace(body, "b-ab 1", "x", 1)).problem(t, http.StatusConflict, "sequence_conflict")
	b.do(t, post, "/facilities/central/entries", fmt.Sprintf(`{"vehicle":%s}`, vehicleBody("B AB 1"))).
		problem(t, http.StatusConflict, "vehicle_already_parked")

	path := "/tickets/" + ticket.TicketID
	var quote api.Quote
	b.must(t, http.StatusOK, get, path+"/quote", "").into(t, &quote)
	require.Equal(t, int64(400), quote.Due)
	require.Len(t, quote.Lines, 2)
	refused := b.do(t, post, path+"/exit", `{}`).problem(t, http.StatusPaymentRequired, "payment_required")
	require.Equal(t, int64(400), *refused.Due)
	b.do(t, post, path+"/payments", `{"paymentId":"p","amount":401}`).problem(t, http.StatusConflict, "overpaid")
	b.must(t, http.StatusCreated, post, path+"/payments", `{"paymentId":"p","amount":4e2}`)
	b.must(t, http.StatusCreated, post, path+"/payments", `{"amount":400,"paymentId":"p"}`)
	b.do(t, post, path+"/payments", `{"paymentId":"p","amount":300}`).problem(t, http.StatusConflict, "exists")
	b.must(t, http.StatusOK, post, path+"/exit", `{}`).into(t, &ticket)
	require.Equal(t, "closed", ticket.Status)
	require.Equal(t, int64(400), *ticket.Amount)
	b.do(t, post, path+"/payments", `{"paymentId":"q","amount":1}`).problem(t, http.StatusConflict, "ticket_closed")

	var page api.TicketPage
	b.must(t, http.StatusOK, get, "/tickets?facilityId=central&status=closed", "").into(t, &page)
	require.Len(t, page.Items, 1)
	require.Empty(t, page.NextCursor)
}

func TestParkingWaitsAndPages(t *testing.T) {
	t.Parallel()
	b := garageWithSpots(t)
	enter := func(plate, more string) answer {
		return b.do(t, post, "/facilities/central/entries", fmt.Sprintf(`{"vehicle":%s%s}`, vehicleBody(plate), more))
	}
	wait := fmt.Sprintf(`,"wait":{"deadline":%q}`, time.Now().Add(time.Hour).Format(time.RFC3339))
	require.Equal(t, http.StatusCreated, enter("A", "").status)
	require.Equal(t, http.StatusCreated, enter("B", "").status)
	enter("C", "").problem(t, http.StatusConflict, "full")
	for _, plate := range []string{"C", "D", "E"} {
		require.Equal(t, http.StatusAccepted, enter(plate, wait).status)
	}
	var line, rest api.WaitingPage
	b.must(t, http.StatusOK, get, "/facilities/central/waiting?limit=2", "").into(t, &line)
	require.Len(t, line.Items, 2)
	b.must(t, http.StatusOK, get, "/facilities/central/waiting?limit=2&cursor="+line.NextCursor, "").into(t, &rest)
	require.Len(t, rest.Items, 1)
	require.Empty(t, rest.NextCursor)
	var spots api.SpotPage
	b.must(t, http.StatusOK, get, "/facilities/central/spots?limit=1&state=occupied&level=1", "").into(t, &spots)
	require.Equal(t, "A-1", spots.Items[0].SpotID)
	b.must(t, http.StatusOK, get, "/facilities/central/spots?limit=1&cursor="+spots.NextCursor, "").into(t, &spots)
	require.Equal(t, "A-2", spots.Items[0].SpotID)
	b.do(t, get, "/facilities/central/spots?cursor=%25", "").problem(t, http.StatusUnprocessableEntity, "invalid")
}

func locations(p api.ProblemDetails) []string {
	list := make([]string, 0, len(p.Errors))
	for _, f := range p.Errors {
		list = append(list, f.Location)
	}
	return list
}

func TestParkingListsEveryFault(t *testing.T) {
	t.Parallel()
	b := garageWithSpots(t)
	for _, c := range []struct {
		path, body string
		at         []string
	}{
		{"/facilities/central/entries", `{"vehicle":{"plate":7,"size":"huge","x":1},"at":"soon","gateId":"n","gateId":"m"}`, []string{
			"body.gateId", "body.vehicle.jurisdiction", "body.vehicle.type", "body.vehicle.plate", "body.vehicle.size", "body.vehicle.x", "body.at",
		}},
		{"/facilities/central/entries", `{"gateId":"n"}`, []string{"body.sequence", "body.vehicleId"}},
		{"/facilities/central/entries", `{"vehicleid":"v"}`, []string{"body.vehicleid"}},
		{"/facilities/central/entries", `{"vehicleId":"v","at":"2999-01-01T00:00:00Z"}`, nil},
		{"/facilities", `{"name":"a\u0000","windowSizes":{"regular":-1}}`, []string{
			"body.name", "body.timeZone", "body.currency", "body.pricingStrategyId", "body.windowSizes.regular",
		}},
		{"/gate-events", `{"events":[{"gateId":"n","sequence":1.5}]}`, []string{
			"body.events[0].sequence", "body.events[0].observedAt", "body.events[0].facilityId", "body.events[0].kind",
		}},
		{"/facilities/central/spots/import", `{"spots":[{"spotId":"X","kind":"tiny","level":1,"row":1,"position":9},
			{"spotId":"Y","kind":"regular","level":1,"row":1,"position":8},{"spotId":"Y","kind":"regular","level":1,"row":1,"position":"7"}]}`,
			[]string{"body.spots[0].kind", "body.spots[2].position", "body.spots[2].spotId"}},
	} {
		res := b.do(t, post, c.path, c.body)
		if c.at == nil {
			require.GreaterOrEqual(t, res.status, 400)
			continue
		}
		require.ElementsMatch(t, c.at, locations(res.problem(t, http.StatusUnprocessableEntity, "invalid")), res.body)
	}
}

func TestParkingImportsCSVByLine(t *testing.T) {
	t.Parallel()
	b := garageWithSpots(t)
	const path = "/facilities/central/spots/import"
	csv := func(text string) answer { return b.do(t, post, path, text, "Content-Type", "text/csv; charset=utf-8") }
	p := csv("spotId,kind,level,row,position\nB-1,regular,x,1,1\nA-9,regular,1,1,1\n\nB-1,huge,1,1,7\n").
		problem(t, http.StatusUnprocessableEntity, "invalid")
	require.Subset(t, locations(p), []string{"body.lines[2].level", "body.lines[5].kind", "body.lines[5].spotId"})
	p = csv("spotId,kind,level,row,position\nA-9,regular,1,1,1\n").problem(t, http.StatusUnprocessableEntity, "invalid")
	require.Equal(t, []string{"body.lines[2].position"}, locations(p))
	p = csv("spotId,kind,level,colour\n").problem(t, http.StatusUnprocessableEntity, "invalid")
	require.Equal(t, []string{"body.lines[1].colour", "body.lines[1].position", "body.lines[1].row"}, locations(p))
	var view api.Facility
	b.must(t, http.StatusOK, get, "/facilities/central", "").into(t, &view)
	require.Equal(t, int64(2), view.Counts.Total)
}

func TestParkingIsUnavailableWhereThereIsNone(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{})
	b.do(t, get, "/facilities", "").problem(t, http.StatusServiceUnavailable, "unavailable")
}

func TestPoolsShowWhatIsDerived(t *testing.T) {
	t.Parallel()
	b := setup(t, &fake{pools: []store.PoolView{{Pool: domain.Pool{PoolID: "central", MaxUnits: 2}, Derived: true}}})
	var pool api.Pool
	b.must(t, http.StatusOK, get, "/pools/central", "").into(t, &pool)
	require.True(t, pool.Derived)
	b.err = domain.Errorf(domain.CodePoolDerived, "derived")
	b.do(t, http.MethodPatch, "/pools/central", `{"maxUnits":1}`).problem(t, http.StatusConflict, "pool_derived")
}

// The worked example of docs/parking.md.
func TestParkingPricesTheWorkedExample(t *testing.T) {
	t.Parallel()
	b := parkingAt(t)
	b.must(t, http.StatusCreated, post, "/pricing-strategies", `{"strategyId":"day","name":"Day tariff","timeZone":"Europe/Berlin",
		"currency":"EUR","graceMinutes":10,"tiers":[{"fromMinute":0,"toMinute":180,"incrementMinutes":60,"value":200},
		{"fromMinute":180,"toMinute":null,"incrementMinutes":60,"value":300}],"period":"calendarDay","periodCap":1500}`)
	var price api.Price
	b.must(t, http.StatusOK, post, "/pricing-strategies/day/versions/1/price", `{"entryTime":"2026-03-06T21:30:00+01:00",
		"until":"2026-03-07T01:15:00+01:00","adjustments":[{"kind":"freeMinutes","minutes":60}]}`).into(t, &price)
	require.Equal(t, int64(800), price.Total)
	require.Equal(t, int64(225), price.Minutes)
	require.Len(t, price.Lines, 5)
	b.do(t, get, "/pricing-strategies/day/versions/2", "").problem(t, http.StatusNotFound, "strategy_not_found")
}

package mailbox

import (
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"

	"millrace/pkg/fault/faultapi"
)

// maxList caps one page of a listing.
const maxList = 1000

// Page is the JSON form of a listing.
type Page struct {
	Messages []Message `json:"messages"`
	// Next is the value of `after` for the next page; 0 when this is the last.
	Next int64 `json:"next,omitempty"`
}

// NewHandler answers GET /messages?order_id=&after=&limit= and
// GET /messages/{id} (the mail as it came), a page for people at /, and faults.
func NewHandler(c Config, store *Store, log *slog.Logger) http.Handler {
	h := &handler{store: store, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /messages", h.list)
	mux.HandleFunc("GET /messages/{id}", h.message)
	mux.HandleFunc("GET /{$}", h.page)
	ready := func(w http.ResponseWriter, _ *http.Request) { h.json(w, map[string]string{"status": "ok"}) }
	mux.HandleFunc("GET /healthz", ready)
	mux.HandleFunc("GET /readyz", ready)
	faults := faultapi.New(c.Faults, log)
	mux.Handle(faultapi.Path, faults)
	mux.Handle(faultapi.Path+"/", faults)
	if c.Metrics != nil {
		mux.Handle("GET /metrics", c.Metrics)
	}
	return mux
}

type handler struct {
	store *Store
	log   *slog.Logger
}

func (h *handler) list(w http.ResponseWriter, r *http.Request) {
	q := Query{OrderID: r.FormValue("order_id"), Limit: 100}
	var err error
	if s := r.FormValue("after"); s != "" {
		if q.After, err = strconv.ParseInt(s, 10, 64); err != nil || q.After < 0 {
			http.Error(w, fmt.Sprintf("after is %q, allowed: the id of a message", s), http.StatusBadRequest)
			return
		}
	}
	if s := r.FormValue("limit"); s != "" {
		if q.Limit, err = strconv.Atoi(s); err != nil || q.Limit < 1 || q.Limit > maxList {
			http.Error(w, fmt.Sprintf("limit is %q, allowed: 1 to %d", s, maxList), http.StatusBadRequest)
			return
		}
	}
	list, more, err := h.store.List(q)
	if err != nil {
		h.failed(w, err)
		return
	}
	page := Page{Messages: list}
	if page.Messages == nil {
		page.Messages = []Message{}
	}
	if more {
		page.Next = list[len(list)-1].ID
	}
	h.json(w, page)
}

func (h *handler) message(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "a message id is a number", http.StatusBadRequest)
		return
	}
	_, data, ok, err := h.store.Data(id)
	switch {
	case err != nil:
		h.failed(w, err)
	case !ok:
		http.Error(w, "no such message", http.StatusNotFound)
	default:
		// Shown as text whatever it claims to be: a mail is foreign content.
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(data)
	}
}

func (h *handler) failed(w http.ResponseWriter, err error) {
	h.log.Error("mails could not be read", "error", err)
	http.Error(w, "internal error", http.StatusInternalServerError)
}

func (h *handler) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// pageLength is how many mails the page for people shows.
const pageLength = 200

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Mails of the shop</title>
<style>
:root { color-scheme: light dark; font-family: system-ui, sans-serif }
table { border-collapse: collapse }
th, td { text-align: start; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #8884 }
</style>
<h1>Mails of the shop</h1>
<p>{{.Count}} kept{{if .OrderID}}, shown: order {{.OrderID}} (<a href="/">all</a>){{else}}, newest first{{end}}.</p>
<table>
<tr><th scope="col">Received<th scope="col">To<th scope="col">Subject<th scope="col">Order
{{range .Messages}}<tr><td>{{.Received.Format "2006-01-02 15:04:05"}}<td>{{range .To}}{{.}} {{end}}<td><a href="/messages/{{.ID}}">{{or .Subject "(none)"}}</a><td>{{if .OrderID}}<a href="/?order_id={{.OrderID}}">{{.OrderID}}</a>{{end}}
{{else}}<tr><td colspan="4">None yet. Place an order and look again.
{{end}}</table>
`))

func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	orderID := r.FormValue("order_id")
	list, _, err := h.store.List(Query{OrderID: orderID, Limit: pageLength, Newest: true})
	if err != nil {
		h.failed(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	err = pageTemplate.Execute(w, map[string]any{"Count": h.store.Count(), "OrderID": orderID, "Messages": list})
	if err != nil {
		h.log.Debug("page was not sent", "error", err)
	}
}

package datadir

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

const shopFile = "shop.json"

// Shop is what a running shop tells about itself in shop.json.
type Shop struct {
	PID   int    `json:"pid"`
	Parts []Part `json:"parts"`

	OrderURL     string `json:"order_url"`
	InventoryURL string `json:"inventory_url"`
	CollectorURL string `json:"collector_url"`
	MailURL      string `json:"mail_url"`
	Brokers      string `json:"brokers"`

	// ControlURL is where parts are started and stopped.
	ControlURL string `json:"control_url"`
	// Faults says that parts may be made to fail on purpose.
	Faults bool `json:"faults"`
}

// Part is one process of the shop.
type Part struct {
	Name    string `json:"name"`
	Service string `json:"service,omitempty"` // whose instance it is
	State   string `json:"state"`
	PID     int    `json:"pid,omitempty"` // absent while no process runs
	Address string `json:"address"`
	URL     string `json:"url,omitempty"` // where it answers HTTP
}

// WriteShop publishes what runs.
func (d *Dir) WriteShop(s Shop) error { return d.writeJSON(shopFile, 0o644, s) }

// RemoveShop takes it back.
func (d *Dir) RemoveShop() error {
	err := os.Remove(d.Path(shopFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ReadShop reads the folder's shop.json without taking the folder. It answers
// fs.ErrNotExist when no shop runs on the folder.
func ReadShop(folder string) (Shop, error) {
	var s Shop
	b, err := os.ReadFile(filepath.Join(folder, shopFile))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}

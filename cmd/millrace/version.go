package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionInfo is what is known about this program.
type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersion(p *program) *cobra.Command {
	c := &cobra.Command{
		Use:   "version",
		Short: "Print what this program was built from",
		Args:  cobra.NoArgs,
	}
	output := addOutputFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		info := readVersion()
		if *output == formatJSON {
			return printJSON(p.stdout, info)
		}
		revision := ""
		if info.Revision != "" {
			revision = ", revision " + info.Revision
		}
		if info.Modified {
			revision += " with local changes"
		}
		fmt.Fprintf(p.stdout, "millrace %s%s, %s, %s\n", info.Version, revision, info.Go, info.Platform)
		return nil
	}
	return c
}

func readVersion() versionInfo {
	info := versionInfo{Version: "(unknown)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	info.Version = build.Main.Version
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			info.Revision = s.Value
		case "vcs.modified":
			info.Modified = s.Value == "true"
		}
	}
	return info
}

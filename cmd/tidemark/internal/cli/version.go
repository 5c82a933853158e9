package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tidemark-io/tidemark/cmd/tidemark/internal/out"
	"github.com/tidemark-io/tidemark/format"
)

// versionDocument is what version says.
type versionDocument struct {
	Schema         string `json:"schema"`
	Version        string `json:"version"`
	Commit         string `json:"commit"`
	Go             string `json:"go"`
	Platform       string `json:"platform"`
	FormatVersion  int    `json:"formatVersion"`
	FormatRevision int    `json:"formatRevision"`
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the versions of the program and of its format",
		Args:  exactly(0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			d := newVersion()
			switch a.output {
			case asJSON, asYAML:
				return a.document(d)
			case asLines:
				return out.JSONLine(a.stdout, d)
			}
			_, err := fmt.Fprintf(a.stdout, "tidemark %s\ncommit   %s\nbuilt    %s, %s\nformat   version %d revision %d\n",
				d.Version, d.Commit, d.Go, d.Platform, d.FormatVersion, d.FormatRevision)
			return err
		},
	}
}

func newVersion() versionDocument {
	d := versionDocument{Schema: "tidemark.version/1", Version: "development", Commit: "unknown", Go: runtime.Version(),
		Platform: runtime.GOOS + "/" + runtime.GOARCH, FormatVersion: format.Version, FormatRevision: format.Revision}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return d
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		d.Version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			d.Commit = s.Value
		}
	}
	return d
}

func (a *app) completion() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a completion script for bash, zsh, fish or powershell",
		Long: `Print a script that lets the shell complete commands and flags. For the running
bash:

  source <(tidemark completion bash)`,
		ValidArgs: shells,
		Args:      exactly(1, "one of bash, zsh, fish, powershell"),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.stdout)
			}
			return usage("%q is none of bash, zsh, fish, powershell", args[0])
		},
	}
}

// Command stack runs the whole system on this machine, from template.yaml.
//
//	stack run    keeps it up, with its data in .local/
//	stack demo   shows an import from a dropped file to its report
//	stack invoke sends one sample event through the binary of a function
//
// Environment: ALIQUOT_PORT is where run listens (8080), ALIQUOT_DATA its data folder, ALIQUOT_CACHE the folder of fetched
// tools, ALIQUOT_DYNAMODB_ENDPOINT a DynamoDB to use in place of the one that is fetched.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

var commands = map[string]func(context.Context, []string) error{
	"run": run, "demo": demo, "invoke": invoke,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: stack", strings.Join(slices.Sorted(maps.Keys(commands)), "|"), "[flags]")
		os.Exit(2)
	}
	err := commands[os.Args[1]](ctx, os.Args[2:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "aliquot: %v\n", err)
		os.Exit(1)
	}
}

// params are template parameters given as -param Name=Value.
type params map[string]string

func (p params) String() string { return "" }

func (p params) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("wants Name=Value")
	}
	p[name] = value
	return nil
}

// newFlags makes the flags of a command with those that all have.
func newFlags(name string) (*flag.FlagSet, params) {
	flags, p := flag.NewFlagSet("stack "+name, flag.ContinueOnError), params{}
	flags.Var(p, "param", "a parameter of template.yaml, as `Name=Value`; may be repeated")
	return flags, p
}

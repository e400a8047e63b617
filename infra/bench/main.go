// Command bench measures the import, the reading and writing of ODM, the start of the functions and their size against
// the bars of the design, and prints a JSON line for each figure and a table at the end.
//
// An import is measured with the code of the function csvimport as it is assembled for AWS: csvimport.Importer.Handle with
// chunk messages, in a process of its own, on a plan that another process has made. Its S3 is a folder and its queue drops
// messages; so what S3 requests cost, two or three a chunk, is not in the figures. Its DynamoDB is the endpoint
// (endpoint.go), a process that counts requests and units. It runs in two ways:
//
//   - "stand-in": what is asked by the row (batches of statements, look-ups of visits and of specimens by label) it
//     answers itself, at once or after -delay, and every write succeeds. It counts units by DynamoDB's rules (size.go).
//     What is asked by the chunk or the job (user, protocol, jobs table) goes on to the local DynamoDB.
//   - "local": everything goes on to the local DynamoDB of infra/local, with ReturnConsumedCapacity; the units are those
//     that it says. This shows that the stand-in counts right.
//
// Requests and units are those of the whole job: plan, chunks, and the joining of the report by the last chunk.
//
// The importing process has the environment that template.yaml gives the function, GOGC and GOMEMLIMIT included where it
// sets them, and GOMAXPROCS=2; so has the bare loop. Its memory is the most that was resident (VmHWM), its code included.
//
// An import of ODM is measured likewise: odmimport.Importer.Handle, as it is assembled for the function odmimport, through
// the endpoint in its way "local"; and so is what that function collects of a study.
//
// CPU is user and system time (getrusage) of the importing process while it handles the chunk messages. The bare loop that
// it is compared with is described at runBare.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are what the flags say.
type options struct {
	rows      int
	localRows int
	tenM      bool
	only      string
	delay     time.Duration
	profile   string
	dir       string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		stop()
		os.Exit(1)
	}
}

// The processes that the bench starts of itself.
var children = map[string]func(context.Context, []byte) error{
	"endpoint": runEndpoint, "import": runImport, "bare": runBare, "odm": runODM, "odm-large": runODMLarge,
	"odm-import": runODMImport, "odm-retrieve": runODMRetrieve,
}

func run(ctx context.Context, args []string) error {
	if len(args) == 3 && args[0] == "child" && children[args[1]] != nil {
		return children[args[1]](ctx, []byte(args[2]))
	}
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&o.rows, "rows", 40_000, "rows of the imports whose requests, units and CPU are told")
	flags.IntVar(&o.localRows, "localrows", 5_000, "rows of the imports into the local DynamoDB")
	flags.BoolVar(&o.tenM, "rows10m", false, "measure memory with 10 million rows too (20 minutes, 8 GB of disk)")
	flags.StringVar(&o.only, "only", "", "measure only the figures whose names begin so")
	flags.DurationVar(&o.delay, "delay", 0, "how long the endpoint waits before each answer (at least 300us)")
	flags.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of one more importing process, of -rows rows, to this `file`")
	flags.StringVar(&o.dir, "dir", "", "folder for the files of the imports; empty: the system's for temporary files")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is no flag; -h lists them", flags.Arg(0))
	}
	if o.rows < 1 || o.localRows < 1 {
		return errors.New("at least one row is needed")
	}
	b := &bench{options: o, jobsDone: map[int]*result{}}
	defer b.close()
	if err := b.measure(ctx); err != nil {
		return err
	}
	if len(b.figures) == 0 {
		return fmt.Errorf("no figure's name begins with %q", o.only)
	}
	b.table()
	return nil
}

package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// tick invokes a function at every interval, the first time after one, until ctx is done.
func tick(ctx context.Context, f *function, every time.Duration, n names, warn io.Writer) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case at := <-ticker.C:
			payload, err := json.Marshal(map[string]any{
				"version": "0", "id": newUUID(), "detail-type": "Scheduled Event", "source": "aws.events",
				"account": account, "time": at.UTC().Format(time.RFC3339), "region": region,
				"resources": []string{n.arn("AWS::Events::Rule", f.ID+"Schedule")}, "detail": struct{}{},
			})
			if err != nil {
				fmt.Fprintf(warn, "%s: %v\n", f.Name, err)
				continue
			}
			wg.Go(func() { invokeLater(ctx, f, payload, warn) })
		}
	}
}

// invokeLater invokes as Lambda does when nobody waits for the answer: a failed try is repeated after one minute and
// again after two, unless the function's EventInvokeConfig says otherwise.
func invokeLater(ctx context.Context, f *function, payload []byte, warn io.Writer) {
	retries := 2
	if n := f.EventInvokeConfig.MaximumRetryAttempts; n != nil {
		retries = *n
	}
	for try := 0; ; try++ {
		_, err := f.invoke(ctx, payload)
		if err == nil || ctx.Err() != nil {
			return
		}
		fmt.Fprintf(warn, "%s: %v\n", f.Name, err)
		if try == retries {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(try+1) * time.Minute):
		}
	}
}

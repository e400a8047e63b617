// Package local is the whole system on one machine, wired from the template that deploys it.
//
//	template.yaml ──► tables ──► DynamoDB (dynoxide, a process)
//	                  buckets ─► S3 (versitygw, a process) ── object events ─┐
//	                  queues ──► SQS (in this process) ◄──── rule ◄──────────┘
//	                  functions ► the real binaries, each asking for its next event as on Lambda
//	                  routes ──► HTTP API (in this process)
//
// Three rules keep what runs here the same as what is deployed:
//
//   - The template is the only wiring. It is read strictly: a property, resource type or reference that is not
//     understood stops the start and is named with its path.
//   - The functions are the binaries that are deployed. They get the template's environment and the addresses of the
//     services in the variables that the AWS SDK knows, nothing else.
//   - What AWS does to a function is done to it here: messages come at least once, an invocation ends at its timeout, a
//     failed one is tried again, a message that was received too often goes to the dead letters, a request that the
//     function's role does not allow is refused.
//
// [Start] starts a stack, [Stack.Close] ends every process it started. A process that dies takes its children with it.
package local

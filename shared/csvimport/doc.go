// Package csvimport imports CSV files.
//
// A file becomes records in these steps, each of which may happen twice, and be cut short at any point:
//
//  1. A file in the drop folder, or a request of the API, makes a job (drop.go). A file makes one job, however often its
//     event comes.
//  2. The plan streams the file once: it finds the rows, cuts them into chunks, finds by hashes which rows must keep
//     their order because they share a record or one makes what another names, and reserves the numbers from which ids
//     and generated names come (plan.go). Rows that belong together but lie in different chunks are taken out of these
//     and get chunks of their own (lanes), which run like any other.
//  3. A chunk is read by range. Its rows become drafts, the registry writes them 24 at a time under the chunk's lease, and
//     the lines of the report are stored as a part (chunk.go). Too little time left: the part so far is stored, and the
//     chunk goes back on the queue.
//  4. Whoever finishes the last chunk joins the parts into the report and the file of failed rows, gives the job its final
//     state, and wakes the owner's next file (finish.go).
//
// The sweep (sweep.go) finds what was left lying: leases that ran out, jobs that nobody works on, files without a job.
//
// The outcome is that of the rows applied in file order, save that a row that makes what another one names goes first,
// wherever it stands. Row n of a job always gets the same ids and names, so a repeat after a crash finds its own writes.
package csvimport

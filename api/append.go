package api

import (
	"bytes"
	"strconv"
	"time"
)

// What is answered to submissions is written without reflection. Each append writes the
// JSON that encode writes, without a line's end; a test holds that they agree.

func (a *Admission) append(to []byte) []byte {
	to = appendText(append(to, `{"taskId":`...), a.TaskID)
	to = appendText(append(to, `,"poolId":`...), a.PoolID)
	to = appendText(append(to, `,"status":`...), a.Status)
	if a.Position != 0 {
		to = strconv.AppendInt(append(to, `,"position":`...), a.Position, 10)
	}
	if a.EstimatedStart != nil {
		to = append(a.EstimatedStart.AppendFormat(append(to, `,"estimatedStart":"`...), time.RFC3339Nano), '"')
	}
	to = strconv.AppendInt(append(to, `,"jobId":`...), a.JobID, 10)
	to = strconv.AppendInt(append(to, `,"submission":`...), int64(a.Submission), 10)
	if a.Known {
		to = append(to, `,"known":true`...)
	}
	return append(to, '}')
}

func (b *BatchResults) append(to []byte) []byte {
	to = append(to, `{"results":[`...)
	for i := range b.Results {
		if i > 0 {
			to = append(to, ',')
		}
		to = b.Results[i].append(to)
	}
	return append(to, "]}"...)
}

func (r *BatchResult) append(to []byte) []byte {
	to = strconv.AppendInt(append(to, `{"status":`...), int64(r.Status), 10)
	if r.Task != nil {
		to = r.Task.append(append(to, `,"task":`...))
	}
	if r.Problem != nil {
		to = appendAny(append(to, `,"problem":`...), r.Problem)
	}
	return append(to, '}')
}

// appendText appends a string, which is hardly ever one that JSON escapes anything of.
func appendText(to []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return appendAny(to, text)
		}
	}
	return append(append(append(to, '"'), text...), '"')
}

func appendAny(to []byte, value any) []byte {
	var text bytes.Buffer
	if err := encode(&text, value); err != nil { // strings and problems, all of which JSON has
		return append(to, "null"...)
	}
	return append(to, bytes.TrimSuffix(text.Bytes(), []byte{'\n'})...)
}

package domain

// Reason says why a task is in its state: a stable code for programs and a
// sentence for people. The zero Reason means that there is nothing to say.
type Reason struct {
	Code    ReasonCode
	Message string
}

// ReasonCode is the stable part of a Reason. Codes are never renamed.
type ReasonCode string

// The reason codes. A failed task carries ReasonExecutorFailed unless something
// more precise is known.
const (
	ReasonQueueFull        ReasonCode = "queue_full"
	ReasonTenantQueueFull  ReasonCode = "tenant_queue_full"
	ReasonCapacityZero     ReasonCode = "capacity_zero"
	ReasonPoolDraining     ReasonCode = "pool_draining"
	ReasonPoolDisabled     ReasonCode = "pool_disabled"
	ReasonDeadlinePassed   ReasonCode = "deadline_passed"
	ReasonTimeout          ReasonCode = "timeout"
	ReasonCancelled        ReasonCode = "cancelled"
	ReasonEvicted          ReasonCode = "evicted"
	ReasonExecutorFailed   ReasonCode = "executor_failed"
	ReasonExecutorPanicked ReasonCode = "executor_panicked"
	ReasonExecutorUnknown  ReasonCode = "executor_unknown"
	ReasonResultTooLarge   ReasonCode = "result_too_large"
	ReasonResultInvalid    ReasonCode = "result_invalid"
	ReasonWorkerLost       ReasonCode = "worker_lost"
	ReasonReleased         ReasonCode = "released" // its remote worker gave the attempt back
	ReasonForced           ReasonCode = "forced"
	ReasonNeverFits        ReasonCode = "never_fits"  // the pool shrank below the task's units while it waited
	ReasonLateResult       ReasonCode = "late_result" // of a refused event: the attempt had ended before
)

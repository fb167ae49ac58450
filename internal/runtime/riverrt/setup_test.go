package riverrt_test

import "time"

const soon = 30 * time.Second // nothing but failure is decided by it

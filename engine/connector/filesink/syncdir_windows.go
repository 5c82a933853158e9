package filesink

import "os"

// syncDirectory does nothing: Windows has no fsync of directories. After a
// power cut a name may be missing there, which a restore reports.
func syncDirectory(*os.File) error { return nil }

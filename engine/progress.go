package engine

// Stage names a kind of work that takes long enough to be watched.
type Stage string

// The stages that commands draw.
const (
	StageSync    Stage = "sync"    // manifests and signatures read, files
	StagePlan    Stage = "plan"    // paths examined
	StageFetch   Stage = "fetch"   // volume bytes fetched
	StageRestore Stage = "restore" // bytes of files restored
	StageVerify  Stage = "verify"  // bytes compared
	StageBackup  Stage = "backup"  // bytes of files read
	StageStore   Stage = "store"   // bytes of volumes stored
)

// Progress is told how work goes on. It is called from several goroutines, and
// often: it must be quick. Nil-safe use is through the package's own calls.
type Progress interface {
	// Expect says that the stage will add up to total.
	Expect(stage Stage, total int64)
	// Add says that n more of the stage is done.
	Add(stage Stage, n int64)
}

type noProgress struct{}

func (noProgress) Expect(Stage, int64) {}
func (noProgress) Add(Stage, int64)    {}

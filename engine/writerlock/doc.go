// Package writerlock lets one writer at a time work on an archive, on all
// machines together, by files in the archive's hot stores.
//
// A lock file is named isotherm-lock.N and says who wrote it. The holder of the
// highest N is the writer; duplicity takes no notice of such names. A lock is
// taken by a put that fails where a file is (backends.PutOptions.IfAbsent), so of
// several machines that want N only one gets it. Its holder rewrites the file
// every minute. When it has not for ten minutes it counts as dead, and whoever
// puts N+1 is the next writer. Release removes the file.
//
// # Time
//
// How old a sign of life is, is judged by the store's clock alone: what it says of
// a file that the one who judges has just put, against what it says of the lock.
// No machine's own clock is compared with anything but itself. Where the holder's
// process ran in the same boot and the same namespaces of the same kernel, it is
// asked for directly: a process that is gone is dead at once. Another boot is no
// proof, since cloned machines share their names.
//
// # Why a writer that was thought dead does no harm
//
// A writer may be stopped for hours (a laptop's lid) between any two of its
// requests, and go on as if nothing had been. Three things hold it back:
//
//   - Before each sign it looks whether its file is still its own and the
//     highest. If not, the lock is lost and the context of Acquire ends.
//   - A sign that comes later than the lock may be thought dead, by the times that
//     the store gave to it and the one before, is the end of the lock too, though
//     nothing of another writer may be left to see: it may have come and gone.
//   - Whoever takes over looks again after it has put N+1. If the dead one has
//     given a sign since it was judged, both stand back.
//
// Check does all of it at once. A caller calls it right before it makes anything
// visible, and then has nearly StaleAfter for that: nobody takes over sooner. A
// process that is stopped in between for longer than that can still write
// afterwards: no store refuses a put because somebody else holds a lock. What it
// writes then is a set of its own, under a name of its own.
//
// # Several stores
//
// One file in one store would do if all machines agreed on the store. They do not
// when one of them cannot reach it. So the lock is taken in every hot store that
// the archive's own files go to, in the policy's order, which all machines share:
// of two that reach the same stores one finds the other in the first of them.
//
// A store that a backup cannot do without (on_failure: abort) must be reached, or
// Acquire fails, as the backup would. One that it can do without (Named.Optional)
// may be dead: a store must not stop backups for which the policy says that they
// go on. Then a machine that sees only that store, while the others see all but
// it, can become a second writer. A majority would prevent that, and would also
// stop every backup of a mirror of two when one of them fails, which is the case
// that on_failure: continue is there for. Instead the writer tries, with each
// sign and in Check, to take the lock in the stores that it lacks. If it finds
// another writer there, it has lost. So two writers last no longer than the
// network's partition, and neither completes a set once it is over.
//
// # Stores without conditional writes
//
// Some services look before they put (backends.IsConditional), or cannot do that
// either (ErrUnsupported). Two of their writers can both succeed, and the last one
// is what is stored. There a writer waits for some seconds after its put and
// reads back who is the one. This is weaker: a put that takes longer than that
// pause goes unseen until the next sign, or Check, of the one it replaced. Numbers
// of one's own instead, of which the lowest wins, would be no better: a put that is
// late is late under any name, and its lower number would beat a writer at work.
package writerlock

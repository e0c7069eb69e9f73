// Package mongo is a [belfry.Store] on MongoDB 4.4 and later, or a server that
// speaks its protocol. It needs neither transactions nor change streams nor
// counters that the server increments, and any number of processes may share a database.
//
// # History
//
// What makes several changes to one is the collection belfryCommits. Its documents are
// numbered 1, 2, 3, …; to insert the next number is to commit, and of several
// processes that try, one succeeds, for an _id is unique. A commit holds all that it changes ("ops"): a process
// first reads what it needs in the state after commit n, then inserts commit n+1, then carries out
// its ops in the other collections, and last marks it applied. Nobody makes the next commit before
// that. Whoever finds that another was first reads again and tries again.
//
// A process that dies before the insert has done nothing. One that dies after it has done
// everything: whoever needs the database next finds the commit, waits twice the
// [Options].Patience for its maker, and carries out its ops. They can be done again. Every document has the
// number of the commit that changed it last (v), so that a maker that was slow and was
// overtaken changes nothing that is newer. (What this cannot fence is an insert that reaches the server
// later than twice the patience, after another commit has deleted the same message; a maker
// stops after one patience.)
//
// One commit carries the writes of many calls of a process that do not concern the same
// names. Under load, therefore, the number of commits does not grow with the number of calls.
//
// # Reading
//
// A commit lists whom it touches: users, companies whose notices or feeds change. A reader that needs
// several queries runs them and then asks whether a commit since the one that it knew touches what it
// read; if so, it waits until that is applied and reads again. So what it returns is the
// state after one commit. The version of counts is kept in the commits and grows with each that may change any counts.
// The numbers of messages and of activities, and the highest place, are kept there as well: retention counts
// nothing.
//
// # Collections
//
//	msgNotice        messages with a receiver, fields as the article has them; belfry adds isArchived,
//	                 isDelivered, category, collapseKey, expires, data, forced, bare, extra, v, and storedAt with a TTL
//	handleLog        activities, likewise; belfry adds changes, extra, v, storedAt
//	belfryNotices    notices: the fields of msgNotice without receiverID and isRead, with later and replaced
//	belfryMarks      who has read or archived a notice: "<notice>/<user>"
//	belfryReaders    of a user in a company: member since, heard up to, seen up to
//	belfrySettings   of a user: preferences, and before when tokens are void
//	belfryRevisions  what was read, edited, withdrawn, replaced, expired: the log, with messages and activities
//	belfryFloors     back to where the log reaches, of a user and of everybody ("*")
//	belfryScheduled  pushes that wait for their time
//	belfryRequests   idempotency keys with their answers
//	belfryCommits    the history; belfryParts holds ops of commits beyond 4 MiB
//	belfryPending    a document while a TTL ends; otherwise it is not there
//	belfryTransfer   how far a copy into this database has come that is not finished; otherwise it is not there
//	belfryCapped     of msgNotice and of handleLog: which document was the oldest at the last look, while they are capped
//	belfryGone       notices that are deleted and may have marks, which are deleted little by little
//
// Ids that applications chose are integers where they are written as integers, and strings
// otherwise; the IDs of messages and activities are ObjectIds; dates are dates; isRead is 0 or
// 1. Applications may read msgNotice and handleLog as they always did. What they store there by themselves
// before the first start is taken over; what they change later belfry does not learn: it asks them to
// push instead.
//
// # How each method does it
//
//	Add               reads: ids that are taken, what the collapse keys replace, the request's key, what it fulfils.
//	                  One commit: inserts, deletions, revisions, the request.
//	Request, Message, Feed, Due, NextDue, ScheduledPush, Preferences
//	                  one query for each collection concerned
//	Inbox, Counts, Undelivered, Since, Profile
//	                  several queries that no commit disturbs, as above; notices are joined with marks here
//	Mark, MarkSeen    reads what changes; one commit, then Counts
//	Edit, Withdraw, Expire, Cancel, AddMembers, Enrol, SetPreferences, Revoke
//	                  reads what is there; one commit
//	MarkDelivered, MarkHeard, AnswerRequest
//	                  known in this process at once; a commit within half a second that touches nobody
//	PruneMessages, PruneActivities, PruneRevisions, PruneRequests
//	                  reads the oldest, at most a step of them; one commit
//	Last              the newest commit
//
// # What the server deletes
//
// With a [TTL] the server deletes read messages and activities by their age, by TTL indexes on storedAt, which documents have that
// were stored since there is one. No count depends on those, and Since answers that it is not complete from where they
// may be gone, with a minute for clocks that differ. PruneMessages deletes the others: the unread ones, whose readers are to
// be told, and what has no storedAt. The numbers of messages and activities in the commits are too high meanwhile, so that limits on
// them are refused; they are counted again when the TTL ends. When a TTL changes, the log is cut at what may have gone by the one before.
// All processes are given the same one.
//
// # Capped collections
//
// With a [Capped] msgNotice and handleLog are capped collections, from which the server drops what was stored first, read or not, where
// something new would not fit. They cannot be sharded, serialize writes, and need MongoDB 6.0, also as featureCompatibilityVersion: older ones
// neither let documents be deleted from them nor change their size, as withdrawing and editing do. Open tries that, and that the server does
// drop, in a collection of its own that it deletes again. It makes the two where they are missing. Where they are there and not as they are to be it fails
// and says what to do: it converts nothing, for that stops the database and takes the indexes with it. All processes are given the same sizes.
//
// The server drops from the head of a collection alone, the document that was stored first. So nothing has gone while the head is the one that is
// written down in belfryCapped. PruneMessages and PruneActivities look, once a minute: where the head is another one they make a commit
// that raises the version of all counts and the floor of the log, and report that everybody has lost something; of several processes one does.
// Counts are counted in the documents, and so are exact at any time; but until that commit they may have changed, and the parts of one answer
// may be from before and after a drop, without a new version. Since does not rely on the look: it asks for the heads after it has read, and is not complete from
// a minute after the head on downwards, within which one commit stores in any order. While nothing has ever been dropped it is complete all the way.
//
// The numbers of messages and activities in the commits are too high, so that limits on them are refused; other limits hold. What belfry deletes, in whatever way,
// moves the head that is written down by the same commit, so that it is not taken for dropped. When collections become capped, or no longer are, all is counted again and the log cut there; likewise after a copy into them.
// A copy that they do not hold fails.
package mongo

package jobs

import (
	"context"
	"time"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/internal/registry"
)

// Folders is what carries families' folders to communes; nil where the hub has
// no HubEE.
type Folders struct {
	Service   connectors.FolderService
	Directory connectors.ReceiverDirectory // nil: receivers are set up by hand
	Contact   ContactRules                 // of the directory
	// Sign gives a detached signature of a folder's JSON (RFC 7515, appendix F), for
	// receivers that ask for one; nil: none.
	Sign func(ctx context.Context, content []byte) ([]byte, error)

	CheckAfter   time.Duration // from complete to the look at its files: the antivirus takes its time
	GiveUpAfter  time.Duration // from accepted to the destruction of what is personal, with an alarm
	Keep         time.Duration // of references and states
	NoticesEvery time.Duration // between two readings of our queue
	FollowEvery  time.Duration // between two comparisons of subscriptions
}

// QueueFolders is the queue of folders and receivers. What waits there before
// HubEE is set goes on when it is.
const QueueFolders = "partner_" + registry.HubEE

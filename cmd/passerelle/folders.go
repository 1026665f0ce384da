package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"github.com/passerelle-hub/passerelle/connectors"
	"github.com/passerelle-hub/passerelle/connectors/hubee"
	"github.com/passerelle-hub/passerelle/connectors/outbound"
	"github.com/passerelle-hub/passerelle/internal/jose"
	"github.com/passerelle-hub/passerelle/internal/registry"
	"github.com/passerelle-hub/passerelle/internal/store"
	"github.com/passerelle-hub/passerelle/jobs"
)

// folderKeys: a commune verifies a signature long after the folder came, so its
// key stays published for more than a year.
var folderKeys = jose.Schedule{Alg: jose.ES256, MaxAge: time.Hour, Period: 180 * 24 * time.Hour, MaxLife: 400 * 24 * time.Hour}

// openFolders gives what carries families' folders; nil without HubEE.
func (h *hub) openFolders() (*jobs.Folders, error) {
	c := h.config.HubEE
	if !c.Enabled() {
		return nil, nil
	}
	settings := hubee.Default()
	settings.URL, settings.TokenURL, settings.ClientID, settings.ClientSecret = c.URL, c.TokenURL, c.ClientID, c.ClientSecret
	settings.EditorName, settings.ApplicationName, settings.SoftwareVersion = c.EditorName, c.Application, version()
	settings.TLS.CAFile = c.CAFile
	client, err := outbound.Partner(registry.HubEE, settings.Settings, h.log)
	if err != nil {
		return nil, fmt.Errorf("hubee: %w", err)
	}
	deps := connectors.Deps{Name: registry.HubEE, Owner: h.config.Hub.Name, Now: h.now, Partner: client}
	f := &jobs.Folders{
		Contact:    jobs.ContactRules{Email: hubee.Email, Phone: hubee.Phone},
		CheckAfter: c.CheckAfter, GiveUpAfter: c.GiveUpAfter, Keep: c.Keep, NoticesEvery: c.NoticesEvery, FollowEvery: c.FollowEvery,
	}
	if f.Service, err = settings.OpenSender(deps); err != nil {
		return nil, err
	}
	if o := c.Onboarding; o.Enabled() {
		settings.ClientID, settings.ClientSecret, settings.Scope = o.ClientID, o.ClientSecret, o.Scope
		if f.Directory, err = settings.OpenDirectory(deps); err != nil {
			return nil, err
		}
	}
	h.folderKeys, err = jose.NewKeys("folder", folderKeys, h.store, h.now)
	if err != nil {
		return nil, err
	}
	f.Sign = func(ctx context.Context, content []byte) ([]byte, error) {
		signature, err := h.folderKeys.SignDetached(ctx, content)
		return []byte(signature), err
	}
	return f, nil
}

// version is the build's, as partners see it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || len(info.Main.Version) > 50 {
		return "devel"
	}
	return info.Main.Version
}

// folders says which families' folders wait, where communes stand at HubEE, and
// mends what waits.
func folders(ctx context.Context, env environment, args []string) error {
	fs, path := flags(env, "folders")
	anew := fs.Bool("anew", false, "with retry: under another id at HubEE")
	signature := fs.Bool("signature", false, "with wishes: a detached signature goes with each folder")
	identityAlone := fs.Bool("identity-alone", false, "with wishes: takes an identity without a quotient familial")
	if err := parse(fs, args); err != nil {
		return err
	}
	usage := &usageError{"folders [--anew] | folders receivers | folders [--anew] retry ID | folders [--signature] [--identity-alone] wishes SIRET-COG"}
	return withHub(ctx, env, *path, func(h *hub) error {
		ctx := registry.WithActor(ctx, "operator:"+whoami())
		switch {
		case fs.NArg() == 0:
			return printFolders(ctx, env.stdout, h.store)
		case fs.Arg(0) == "receivers" && fs.NArg() == 1:
			return printReceivers(ctx, env.stdout, h.store)
		case fs.Arg(0) == "retry" && fs.NArg() == 2:
			id, err := uuid.Parse(fs.Arg(1))
			if err != nil {
				return &usageError{fs.Arg(1) + " is no id"}
			}
			err = h.registry.Record(ctx, &registry.RetryFolder{ID: id, Anew: *anew})
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("there is no folder %s", id)
			}
			return err
		case fs.Arg(0) == "wishes" && fs.NArg() == 2:
			var ref connectors.OrganizationRef
			if len(fs.Arg(1)) != len("21040107100019-04107") || fs.Arg(1)[14] != '-' {
				return usage
			}
			ref.SIRET, ref.Branch = fs.Arg(1)[:14], fs.Arg(1)[15:]
			r, err := h.store.ReceiverByKey(ctx, registry.FolderProcess, ref)
			if err != nil {
				return err
			}
			return h.registry.Record(ctx, &registry.SetReceiverWishes{ReceiverID: r.ID, Signature: *signature, IdentityAlone: *identityAlone})
		}
		return usage
	})
}

const shownFolders = 200

func printFolders(ctx context.Context, out io.Writer, s *store.Store) error {
	list, err := s.WaitingFolders(ctx, shownFolders)
	if err != nil {
		return err
	}
	letters, err := s.DeadLetters(ctx, shownFolders)
	if err != nil {
		return err
	}
	if len(list)+len(letters) == 0 {
		_, err := fmt.Fprintln(out, "nothing waits")
		return err
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	if len(list) > 0 {
		fmt.Fprintln(t, "folders\n  id\treference\tfor\tstate\taccepted\twhy")
	}
	for _, f := range list {
		fmt.Fprintf(t, "  %s\t%s\t%s (SI-%s-%s, %s)\t%s\t%s\t%s\n", f.ID, f.Reference, f.Name, f.Siret, f.Cog, f.ReceiverState, f.State, f.AcceptedAt.Format(time.RFC3339), f.Problem)
	}
	if len(letters) > 0 {
		fmt.Fprintln(t, "notices that could not be processed\n  notice\tcase\tevent\tsince\ttries\twhy")
	}
	for _, l := range letters {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%d\t%s\n", l.NoticeID, l.CaseID, l.EventID, l.FirstSeen.Format(time.RFC3339), l.Tries, l.Reason)
	}
	return t.Flush()
}

func printReceivers(ctx context.Context, out io.Writer, s *store.Store) error {
	list, err := s.Receivers(ctx, registry.FolderProcess)
	if err != nil {
		return err
	}
	waiting, err := s.WaitingRights(ctx, shownFolders)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "receiver\tname\tstate\tfor\twhy")
	for _, r := range list {
		fmt.Fprintf(t, "SI-%s-%s\t%s\t%s\t%s\t%s\n", r.Siret, r.Cog, r.Name, r.State, time.Since(r.StateSince).Round(time.Minute), r.SuspendedReason)
	}
	if len(waiting) > 0 {
		fmt.Fprintln(t, "\nset-ups that wait\nrequest\tdefinition\tsince\twhy")
	}
	for _, w := range waiting {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\n", w.RequestID, w.Definition, w.GrantedAt.Format(time.RFC3339), cmp.Or(w.Problem, "in progress"))
	}
	return t.Flush()
}

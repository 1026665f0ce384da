package hubeetest

import (
	"embed"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/passerelle-hub/passerelle/connectors/partnertest"
)

//go:embed seed
var example embed.FS

// Seed is what a HubEE holds at the start: HubEE's own names in camelCase, the
// simulator's in snake_case. seed/default.yml is the documented example.
type Seed struct {
	Switches      Switches            `yaml:"switches"`
	Processes     []Process           `yaml:"processes"`
	Organizations []OrganizationBody  `yaml:"organizations"`
	Subscriptions []SeedSubscription  `yaml:"subscriptions"`
	Credentials   []Credential        `yaml:"credentials"`
	Folders       []SeedFolder        `yaml:"folders"`
	Faults        []partnertest.Fault `yaml:"faults"`
}

// SeedSubscription is a subscription with its id, which may be left out.
type SeedSubscription struct {
	ID               string `yaml:"id"`
	SubscriptionBody `yaml:",inline"`
}

// SeedFolder is a folder that was sent before the simulator started.
type SeedFolder struct {
	ID          string           `yaml:"id"`
	ProcessCode string           `yaml:"processCode"`
	ExternalID  string           `yaml:"externalId"`
	Transmitter OrganizationID   `yaml:"transmitter"`
	Applicant   applicantBody    `yaml:"applicant"`
	Cases       []SeedCase       `yaml:"cases"`
	Attachments []SeedAttachment `yaml:"attachments"`
	Incomplete  bool             `yaml:"incomplete"` // left in HUBEE_RECEIVED
}

// SeedCase is a case and the events it has had, in their order.
type SeedCase struct {
	ID         string         `yaml:"id"`
	Recipient  OrganizationID `yaml:"recipient"`
	ExternalID string         `yaml:"externalId"`
	Events     []Mark         `yaml:"events"`
}

// SeedAttachment has its content in the seed or in a file beside it; with
// neither it was never uploaded.
type SeedAttachment struct {
	ID       string `yaml:"id"`
	FileName string `yaml:"fileName"`
	Type     string `yaml:"type"`
	MimeType string `yaml:"mimeType"`
	Size     int64  `yaml:"size"` // default: the content's
	Content  string `yaml:"content"`
	File     string `yaml:"file"`
}

// DefaultSeed is the documented example: one active FormulaireQF subscription and
// one complete folder of it in the queue, beside a folder of another process.
func DefaultSeed() (*Seed, error) {
	dir, err := fs.Sub(example, "seed")
	if err != nil {
		return nil, err
	}
	return readSeed(dir, "default.yml")
}

// LoadSeed reads a seed file, YAML or JSON; contents are read beside it.
func LoadSeed(file string) (*Seed, error) {
	return readSeed(os.DirFS(filepath.Dir(file)), filepath.Base(file))
}

func readSeed(dir fs.FS, name string) (*Seed, error) {
	text, err := fs.ReadFile(dir, name)
	if err != nil {
		return nil, err
	}
	seed := &Seed{}
	if err := partnertest.DecodeSeed(text, seed); err != nil {
		return nil, fmt.Errorf("hubeetest: %s: %w", name, err)
	}
	for i := range seed.Folders {
		for j := range seed.Folders[i].Attachments {
			a := &seed.Folders[i].Attachments[j]
			if a.File == "" {
				continue
			}
			content, err := fs.ReadFile(dir, a.File)
			if err != nil {
				return nil, fmt.Errorf("hubeetest: %s: attachment %s: %w", name, a.FileName, err)
			}
			a.Content = string(content)
		}
	}
	return seed, nil
}

// load brings the simulator to its seed. What HubEE would refuse is an error.
func (s *Server) load() error {
	s.mu.Lock()
	s.state = state{
		switches: s.seed.Switches, tokens: map[string]accessToken{},
		organizations: map[OrganizationID]*organization{}, subscriptions: map[string]*subscription{},
		bySubscriber: map[subscriberKey]*subscription{}, processes: map[string]*Process{},
		folders: map[string]*folder{}, byExternalID: map[string]int{}, cases: map[string]*caseFile{},
		attachments: map[string]*attachment{}, events: map[string]*event{},
		notifications: map[string]*notification{}, queues: map[OrganizationID][]*notification{},
		shuffle: rand.New(rand.NewPCG(s.opts.Shuffle, 0)), // an order, not a secret
	}
	err := s.fill()
	s.mu.Unlock()
	for _, c := range s.seed.Credentials {
		s.AddCredential(c)
	}
	s.Inject(s.seed.Faults...)
	return err
}

// fill needs the lock.
func (s *Server) fill() error {
	for _, p := range s.seed.Processes {
		s.processes[p.Code] = &p
	}
	for _, o := range s.seed.Organizations {
		s.addOrganization(o)
	}
	for _, sub := range s.seed.Subscriptions {
		if s.organizations[sub.Subscriber] == nil {
			return fmt.Errorf("hubeetest: subscription %s: organization %s is not in the seed", sub.ProcessCode, sub.Subscriber)
		}
		s.addSubscription(sub.ID, sub.SubscriptionBody)
	}
	for _, f := range s.seed.Folders {
		if err := s.send(f); err != nil {
			return fmt.Errorf("hubeetest: folder %s: %w", f.ExternalID, err)
		}
	}
	return nil
}

// send plays what the OSL did: create, upload, complete; then the events.
func (s *Server) send(seed SeedFolder) error {
	in := folderRequest{ID: seed.ID, ProcessCode: seed.ProcessCode, ExternalID: seed.ExternalID, Applicant: seed.Applicant}
	recipients := []string{}
	for _, c := range seed.Cases {
		in.Cases = append(in.Cases, caseOfFolderBody{ID: c.ID, Recipient: c.Recipient, ExternalID: c.ExternalID})
		recipients = append(recipients, c.ExternalID)
	}
	for _, a := range seed.Attachments {
		if a.Size == 0 {
			a.Size = int64(len(a.Content))
		}
		in.Attachments = append(in.Attachments, attachmentBody{
			ID: a.ID, FileName: a.FileName, Type: a.Type, Size: a.Size, MimeType: a.MimeType, Recipients: recipients,
		})
	}
	if refused := s.mayReceive(in); refused != nil {
		return refused
	}
	if len(in.Cases) == 0 || len(in.Attachments) == 0 {
		return fmt.Errorf("a folder needs a case and an attachment")
	}
	f := s.addFolder(in, seed.Transmitter, nil)
	for i, a := range seed.Attachments {
		if a.Content == "" && a.File == "" {
			continue
		}
		if refused := s.store(f.attachments[i], []byte(a.Content), ""); refused != nil {
			return fmt.Errorf("%s: %w", a.FileName, refused)
		}
	}
	if seed.Incomplete {
		return nil
	}
	if refused := s.setGlobalStatus(f, HubeeCompleted, nil); refused != nil {
		return refused
	}
	for i, c := range seed.Cases {
		for _, m := range c.Events {
			if _, refused := s.mark(f.cases[i], m); refused != nil {
				return fmt.Errorf("event of case %s: %w", c.ExternalID, refused)
			}
		}
	}
	return nil
}

// Error makes a refusal the error of a seed or of the admin surface.
func (r *refusal) Error() string { return r.text }

package definitions

import (
	"sync/atomic"

	"github.com/passerelle-hub/passerelle/internal/habilitation"
)

// Live is the set in force, which may be replaced while it is read. Whoever
// needs several answers from one set takes it with Set.
type Live struct{ current atomic.Pointer[hashed] }

// hashed is a set with its hash, which is costly to compute.
type hashed struct {
	set  *Set
	hash string
}

// NewLive puts a first set in force.
func NewLive(s *Set) *Live {
	l := &Live{}
	l.Replace(s)
	return l
}

// Replace puts another set in force.
func (l *Live) Replace(s *Set) { l.current.Store(&hashed{s, s.Hash()}) }

// Set gives the set in force.
func (l *Live) Set() *Set { return l.current.Load().set }

// Hash identifies the set in force.
func (l *Live) Hash() string { return l.current.Load().hash }

// Definition finds a definition of the set in force.
func (l *Live) Definition(uid string) (*habilitation.Definition, bool) {
	return l.Set().Definition(uid)
}

// Definitions lists those of the set in force.
func (l *Live) Definitions() []*habilitation.Definition { return l.Set().Definitions() }

// Form finds a form of the set in force.
func (l *Live) Form(uid string) (*habilitation.Form, bool) { return l.Set().Form(uid) }

// FormsOf lists the forms of a definition, as Set.FormsOf.
func (l *Live) FormsOf(definition string) []*habilitation.Form { return l.Set().FormsOf(definition) }

// DefaultForm is Set.DefaultForm of the set in force.
func (l *Live) DefaultForm(definition string) (*habilitation.Form, bool) {
	return l.Set().DefaultForm(definition)
}

// ServiceProviderBySIRET finds the one service provider with a SIRET.
func (l *Live) ServiceProviderBySIRET(siret string) (*habilitation.ServiceProviderProfile, bool) {
	return l.Set().ServiceProviderBySIRET(siret)
}

// ServiceProvider finds a service provider of the set in force.
func (l *Live) ServiceProvider(id string) (*habilitation.ServiceProviderProfile, bool) {
	return l.Set().ServiceProvider(id)
}

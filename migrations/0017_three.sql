-- +goose Up

-- When API Sirene is asked again of a native organization, and why it gave no answer last time.
alter table organization
    add column insee_due_at timestamptz not null default 'epoch',
    add column insee_problem text not null default '';
create index organization_insee_due on organization (insee_due_at, id) where source = '' and siret is not null;

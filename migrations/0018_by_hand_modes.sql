-- +goose Up

-- A team that hands its keys over itself answers with a reference, and the hub never has the key.
alter table hand_task
    add column wants_reference boolean not null default false,
    add column reference text not null default '';
alter table key_copy drop constraint key_copy_ended_how_check;
alter table key_copy add constraint key_copy_ended_how_check
    check (ended_how in ('', 'shown', 'acknowledged', 'deadline', 'over', 'provider'));

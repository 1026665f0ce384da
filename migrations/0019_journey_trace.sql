-- +goose Up

-- Traces of connections and of what was sent: whose data was asked, when, for whom, by which right, what came of it;
-- without a name, a date or a value (arrêté of 8 November 2018; décret 2023-361; qf-form.md, M-23). The application
-- adds lines, and neither changes nor deletes one. Each commune has a chain of its own: its lines are counted, and
-- each has the hash of the one before.
create table journey_trace (
    receiver_id     bigint not null references receiver,
    seq             bigint not null,
    at              timestamptz not null,
    journey_id      uuid not null,               -- ties the lines of one transaction together
    event           text not null check (event in ('connection', 'sent')),
    outcome         text not null,               -- ok, or why not
    siret           text not null,               -- of the receiver, then
    cog             text not null,
    habilitation_id bigint not null default 0,   -- the right by which it was asked
    sub_hash        bytea not null default '',   -- keyed hash of FranceConnect's id of the person
    acr             text not null default '',    -- level of the identification
    scopes          text[] not null default '{}',
    categories      text[] not null default '{}', -- of the data that came
    month_before    boolean not null default false,
    request_id      text not null default '',    -- API Particulier's id of the answer
    reference       text not null default '',    -- of the folder
    notice          text not null default '',    -- version of the words that she was shown
    correlation     text not null default '',
    prev_hash       bytea not null,
    hash            bytea not null,
    primary key (receiver_id, seq)
);
create index journey_trace_at on journey_trace (at);
create index journey_trace_journey on journey_trace (journey_id);

-- Where each chain was cut: its last line that is gone.
create table journey_trace_purged (
    receiver_id bigint primary key references receiver,
    seq         bigint not null,
    hash        bytea not null
);

-- Traces end after 36 months, by the database's own clock: not sooner, whoever asks.
-- +goose StatementBegin
create function purge_journey_traces(max_rows integer) returns bigint
language plpgsql security definer set search_path = public, pg_temp
as $$
declare
    n bigint;
begin
    with gone as (
        delete from journey_trace t
        where (t.receiver_id, t.seq) in (
            select o.receiver_id, o.seq from journey_trace o where o.at < now() - interval '36 months' order by o.at, o.receiver_id, o.seq limit max_rows
        )
        returning t.receiver_id, t.seq, t.hash
    ), cut as (
        insert into journey_trace_purged as p (receiver_id, seq, hash)
        select distinct on (g.receiver_id) g.receiver_id, g.seq, g.hash from gone g order by g.receiver_id, g.seq desc
        on conflict (receiver_id) do update set seq = excluded.seq, hash = excluded.hash where p.seq < excluded.seq
    )
    select count(*) into n from gone;
    return n;
end
$$;
-- +goose StatementEnd
revoke execute on function purge_journey_traces from public;

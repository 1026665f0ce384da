-- +goose Up

-- Families find a receiver by words, as they write them: without accents, saint or st.
-- The same folding as internal/store.fold; letters are listed so that it does not hang on the collation.
create function receiver_words(name text) returns text
immutable strict parallel safe language sql
return regexp_replace(regexp_replace(trim(regexp_replace(
    lower(replace(replace(replace(replace(translate(normalize(name),
        'ÀÂÄÁÃÅÇÉÈÊËÍÌÎÏÑÓÒÔÖÕØÚÙÛÜÝŸàâäáãåçéèêëíìîïñóòôöõøúùûüýÿ',
        'AAAAAACEEEEIIIINOOOOOOUUUUYYaaaaaaceeeeiiiinoooooouuuuyy'),
        'Œ', 'oe'), 'œ', 'oe'), 'Æ', 'ae'), 'æ', 'ae')),
    '[^a-z0-9]+', ' ', 'g')), '\mst\M', 'saint', 'g'), '\mste\M', 'sainte', 'g');

alter table receiver
    -- The commune's own name, as INSEE says: a CCAS often does not tell its own.
    add column place text not null default '',
    -- Two characters, three overseas (971 to 989); Corse is 2A and 2B.
    add column departement text not null generated always as (
        case when cog like '97%' or cog like '98%' then left(cog, 3) else left(cog, 2) end) stored,
    add column kind text not null generated always as (
        case
            when receiver_words(name) ~ '\m(ccas|cias)\M|centres? (communal|intercommunal) d action sociale' then 'ccas'
            when receiver_words(name) ~ '\mcaisses? des ecoles\M' then 'caisse_des_ecoles'
            when receiver_words(name) ~ '\m(syndicat|sivu|sivom|sivos|communaute|metropole|epci)\M' then 'groupement'
            else 'commune'
        end) stored;

-- What a list is sorted by: the commune's name, else the receiver's without what most begin with.
alter table receiver add column sort_name text not null generated always as (
    case when place <> '' then receiver_words(place)
         else regexp_replace(receiver_words(name), '^(commune|ville|mairie|municipalite) (de |du |des |d )?(?=.)', '') end) stored;

create function receiver_search(name text, place text) returns tsvector
immutable strict parallel safe language sql
return to_tsvector('pg_catalog.simple'::regconfig, receiver_words(name) || ' ' || receiver_words(place));

create index receiver_found on receiver using gin (receiver_search(name, place)) where state in ('active', 'delegated');
create index receiver_listed on receiver (process, departement, sort_name, id) where state in ('active', 'delegated');
create index receiver_postal on receiver (process, postal_code text_pattern_ops) where state in ('active', 'delegated');
create index receiver_cog on receiver (process, cog);

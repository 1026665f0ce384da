-- +goose Up

-- What INSEE's legal category says of a receiver goes before what its name seems to say.
alter table receiver add column legal_category text not null default '';

update receiver r
set legal_category = o.insee_payload #>> '{etablissement,uniteLegale,categorieJuridiqueUniteLegale}'
from receiver_right g
join request q on q.id = g.request_id
join organization o on o.id = q.organization_id
where g.receiver_id = r.id and o.siret = r.siret
  and o.insee_payload #>> '{etablissement,uniteLegale,categorieJuridiqueUniteLegale}' is not null;

-- INSEE's nomenclature of legal categories, level III: 7210 a commune, 7312 one that is part of another, 7361 and
-- 7367 CCAS and CIAS, 7362 caisse des écoles, 7340 to 7357 what communes do together. Others are read from the name.
alter table receiver drop column kind;
alter table receiver add column kind text not null generated always as (
    case
        when legal_category in ('7210', '7312') then 'commune'
        when legal_category in ('7361', '7367') then 'ccas'
        when legal_category = '7362' then 'caisse_des_ecoles'
        when legal_category between '7340' and '7357' then 'groupement'
        when receiver_words(name) ~ '\m(ccas|cias)\M|centres? (communal|intercommunal) d action sociale' then 'ccas'
        when receiver_words(name) ~ '\mcaisses? des ecoles\M' then 'caisse_des_ecoles'
        when receiver_words(name) ~ '\m(syndicat|sivu|sivom|sivos|communaute|metropole|epci)\M' then 'groupement'
        else 'commune'
    end) stored;

-- +goose Up

-- A form's requests by state, with what decides who may read them: they are counted without reading the rows.
create index request_form_state_definition on request (form, state, created_at desc, id desc) include (definition);
drop index request_form_state;

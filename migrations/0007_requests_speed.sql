-- +goose Up

-- An organisation's or an applicant's requests, newest first, with what lists filter by: a large holder's thousands of rows
-- are not read to show twenty-five. These take the places of the indexes on the bare columns.
create index request_organization_created on request (organization_id, created_at desc, id desc) include (state, definition, form, applicant_id);
create index request_applicant_created on request (applicant_id, created_at desc, id desc) include (state, definition, form, organization_id);
drop index request_organization;
drop index request_applicant;

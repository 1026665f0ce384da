-- +goose Up

-- A request's postings follow its words, whoever changes them; most changes of a request leave them as they are.
-- +goose StatementBegin
create function follow_request_words() returns trigger language plpgsql as $$
begin
    delete from request_word where request_id = new.id and word = any (old.words) and not word = any (new.words);
    insert into request_word (word, request_id, definition)
    select n.word, new.id, new.definition from unnest(new.words) n (word)
    where old.definition <> new.definition or not n.word = any (old.words)
    on conflict (word, request_id) do update set definition = excluded.definition;
    return null;
end
$$;
-- +goose StatementEnd
create trigger request_words_changed after update of words, definition on request for each row
    when (old.words is distinct from new.words or old.definition is distinct from new.definition)
    execute function follow_request_words();

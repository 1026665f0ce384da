-- name: LastTrace :one
-- The end of a chain, though its line may be purged.
select e.seq, e.hash, e.at from (
    (select t.seq, t.hash, t.at from journey_trace t where t.receiver_id = @receiver_id order by t.seq desc limit 1)
    union all
    (select p.seq, p.hash, 'epoch'::timestamptz from journey_trace_purged p where p.receiver_id = @receiver_id)
) e order by e.seq desc limit 1;

-- name: PurgedTraces :many
select * from journey_trace_purged;

-- name: InsertTrace :exec
insert into journey_trace (receiver_id, seq, at, journey_id, event, outcome, siret, cog, habilitation_id, sub_hash, acr, scopes, categories, month_before, request_id, reference, notice, correlation, prev_hash, hash)
values (@receiver_id, @seq, @at, @journey_id, @event, @outcome, @siret, @cog, @habilitation_id, @sub_hash, @acr, @scopes, @categories, @month_before, @request_id, @reference, @notice, @correlation, @prev_hash, @hash);

-- name: Traces :many
-- One page of them, in the order of their chains.
select * from journey_trace
where (receiver_id, seq) > (@after_receiver::bigint, @after_seq::bigint) and at >= @since and at < @until and (@siret::text = '' or siret = @siret)
order by receiver_id, seq limit @max_rows;

-- name: PurgeTraces :one
select purge_journey_traces(@max_rows)::bigint as gone;

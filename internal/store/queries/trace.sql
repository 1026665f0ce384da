-- name: LastTrace :one
select seq, hash from journey_trace where receiver_id = @receiver_id order by seq desc limit 1;

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

module passerelle.invalid/peers/standardwebhooks-go

go 1.26

tool passerelle.invalid/peers/standardwebhooks-go

require github.com/standard-webhooks/standard-webhooks/libraries v0.0.1

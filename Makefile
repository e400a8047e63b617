# Aliquot. `make help` lists the targets. Go, make and Node (with npm) are all that is needed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

functions := $(patsubst functions/%/main.go,%,$(wildcard functions/*/main.go))
# Built and then run as itself, so that a signal to make reaches it; `go run` would keep it to itself.
stack := go build -o build/stack ./infra/local/cmd/stack && exec build/stack
tool := go tool -modfile=infra/tools/go.mod
# How a function is built for AWS: $(call build,name,folder). The api function, which holds the code of every noun, is an
# eighth smaller where calls are not inlined (infra/decisions/binary-size.md).
build = GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -tags lambda.norpc $(flags-$(1)) \
	-o $(2)/bootstrap ./functions/$(1)
flags-api := -gcflags=all=-l -gcflags=runtime/...= -gcflags=encoding/json=
# Parameters without a usable default value, for the checks that want one.
sample := AlarmTopicArn=arn:aws:sns:us-east-1:000000000000:alarms DropOwner=lab DropWriterArn=arn:aws:iam::000000000000:role/lab

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-22s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## show a record's life by curl, and an import from a dropped file to its report, on a stack that ends with it
	@$(stack) demo

.PHONY: run
run: ## keep the whole system up on this machine; data in .local/
	@$(stack) run

.PHONY: invoke
invoke: ## send events/$FN/$EVENT.json through the function FN
	@$(stack) invoke -fn "$(FN)" -event "$(EVENT)"

.PHONY: test
test: ## run the tests; TESTFLAGS adds flags, such as -race
	go test $(TESTFLAGS) ./...
	cd infra/local/s3 && go vet ./...

.PHONY: test-dynamodb-local
test-dynamodb-local: ## run the store's tests against the DynamoDB at ALIQUOT_DYNAMODB_ENDPOINT
	@test -n "$${ALIQUOT_DYNAMODB_ENDPOINT:-}" || { echo "set ALIQUOT_DYNAMODB_ENDPOINT to its address"; exit 1; }
	go test -count=1 $(TESTFLAGS) ./shared/store/... ./shared/jobs/... ./shared/csvimport/...

.PHONY: golden
golden: ## write the golden files anew; look at what changed before you commit it
	ALIQUOT_GOLDEN=write go test ./shared/... ./infra/...

.PHONY: lint
lint: ## check format, code and template
	@unformatted="$$($(tool) gofumpt -l functions infra shared)"; test -z "$$unformatted" || { echo "gofumpt would change:"; echo "$$unformatted"; exit 1; }
	go vet ./...
	$(tool) staticcheck ./...
	@if command -v cfn-lint >/dev/null; then echo cfn-lint template.yaml; cfn-lint template.yaml; else echo "cfn-lint: not run, since it is not installed"; fi
	node infra/validate/validate.mjs template.yaml $(sample)

.PHONY: bench
bench: ## measure the import against the bars; ARGS adds flags
	go run ./infra/bench $(ARGS)

.PHONY: build
build: $(functions:%=build-%) ## build the functions for AWS, each as build/<name>/bootstrap

.PHONY: $(functions:%=build-%)
$(functions:%=build-%): build-%:
	$(call build,$*,build/$*)

# What `sam build` calls, by the function's name in template.yaml.
build-%Function:
	$(call build,$(shell echo $* | tr A-Z a-z),$(ARTIFACTS_DIR))

.PHONY: deploy
deploy: ## build and deploy with the SAM CLI; STACK names the stack
	sam build --build-in-source
	sam deploy --guided $(if $(STACK),--stack-name $(STACK)) --capabilities CAPABILITY_IAM

.PHONY: admin
admin: ## set up the deployed stack STACK: users, and the administrator's first password; needs the AWS CLI
	@test -n "$(STACK)" || { echo "usage: make admin STACK=<name>"; exit 1; }
	@output() { aws cloudformation describe-stacks --stack-name "$(STACK)" --output text \
		--query "Stacks[0].Outputs[?OutputKey=='$$1'].OutputValue"; }; \
	export ALIQUOT_RECORDS_TABLE="$$(output RecordsTableName)" ALIQUOT_AUDIT_TABLE="$$(output AuditTableName)" \
		ALIQUOT_JOBS_TABLE="$$(output JobsTableName)" ALIQUOT_SESSIONS_TABLE="$$(output SessionsTableName)"; \
	go run ./infra/admin/cmd

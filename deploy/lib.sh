# shellcheck shell=bash
# shellcheck disable=SC2034  # what is set here is used by the scripts that read this file
# What the scripts of this folder share: the settings, and how a gcloud command is shown, run or queried.

set -euo pipefail
if [ "${BASH_VERSINFO[0]}" -lt 5 ]; then
  echo "error: bash 5 is needed; this is $BASH_VERSION" >&2
  exit 1
fi
export CLOUDSDK_CORE_DISABLE_PROMPTS=1

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$HERE")
DRY_RUN=no

# Secrets by the gateway's names; Secret Manager has the same names in lower case with dashes.
SECRETS=(WEBHOOK_SECRET_TOKEN OPERATOR_TOKEN NOTIFICATION_URL FYERS_SECRET_ID FYERS_PIN)

exec 3>&1 # where commands are shown, also from inside $(…)

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

say() { printf '%s\n' "$*" >&2; }

# --- gcloud -----------------------------------------------------------------------------------------------------------

# Shows a command so that it can be pasted into a shell.
show() {
  local words
  printf -v words ' %q' "$@"
  printf '%s' "${words:1}" >&3
}

gcloud_here() { gcloud "$@" --project="$PROJECT" --quiet; }

# Runs a command that changes something.
gc() { gc_fed "$@" </dev/null; }

# The same for a command that reads a file or a secret from standard input. A secret is never part of a command line.
gc_fed() {
  show gcloud "$@" --project="$PROJECT" --quiet
  printf '\n' >&3
  if [ "$DRY_RUN" = no ]; then gcloud_here "$@"; else cat >/dev/null; fi
}

# gc_ask PLACEHOLDER COMMAND...: the output of a command that only reads. A dry run runs nothing and prints PLACEHOLDER.
gc_ask() {
  local placeholder=$1
  shift
  if [ "$DRY_RUN" = no ]; then
    gcloud_here "$@" </dev/null
  else
    show gcloud "$@" --project="$PROJECT" --quiet
    printf '\n' >&3
    printf '%s\n' "$placeholder"
  fi
}

# True if a describing command finds something. In a dry run everything is missing.
gc_finds() {
  [ "$DRY_RUN" = no ] && gcloud_here "$@" </dev/null >/dev/null 2>&1
}

# gc_ensure DESCRIBE... -- CREATE...: creates what cannot be described. If describing failed for another reason,
# creating fails as well, and says why.
gc_ensure() {
  local describe=()
  while [ "$1" != -- ]; do
    describe+=("$1")
    shift
  done
  shift
  if [ "$DRY_RUN" = yes ]; then
    show gcloud "${describe[@]}" --project="$PROJECT" --quiet
    printf ' || ' >&3
  fi
  if ! gc_finds "${describe[@]}"; then gc "$@"; fi
}

# Grants a role. A new service account may not be known everywhere yet, so it retries for half a minute.
gc_bind() {
  local try
  for try in 1 2 3 4 5 6; do
    if gc "$@" >/dev/null; then return; fi
    [ "$try" = 6 ] || sleep "${BIND_PAUSE:-6}"
  done
  die "the role could not be given; gcloud says why above"
}

# --- the settings and what follows from them --------------------------------------------------------------------------

# Reads --dry-run and leaves the other words in ARGS; then reads deploy/settings (or the file that SETTINGS names).
# On Cloud Build there is no such file: the build's substitutions come as PROJECT, REGION and SERVICE.
begin() {
  ARGS=()
  local word
  for word in "$@"; do
    case $word in
      --dry-run) DRY_RUN=yes ;;
      -*) die "there is no option $word; there is --dry-run" ;;
      *) ARGS+=("$word") ;;
    esac
  done
  SETTINGS=${SETTINGS:-$HERE/settings}
  # shellcheck source=settings.example
  if [ -f "$SETTINGS" ]; then . "$SETTINGS"; fi
  [ -n "${PROJECT:-}" ] || die "PROJECT is empty; cp deploy/settings.example deploy/settings and fill it in"
  : "${REGION:=asia-south1}" "${SERVICE:=gateway}"
  derive
}

derive() {
  RUNTIME=$SERVICE-runtime@$PROJECT.iam.gserviceaccount.com
  SCHEDULER=$SERVICE-scheduler@$PROJECT.iam.gserviceaccount.com
  TESTER=$SERVICE-tester@$PROJECT.iam.gserviceaccount.com
  BUILDER=$SERVICE-builder@$PROJECT.iam.gserviceaccount.com
  SCALER=$SERVICE-scaler@$PROJECT.iam.gserviceaccount.com
  IMAGES=$REGION-docker.pkg.dev/$PROJECT/$SERVICE/$SERVICE
  BUCKET=$PROJECT-$SERVICE
  SOURCES=$PROJECT-$SERVICE-sources
  TOPIC=$SERVICE-notices
}

# Only the file has these, so Cloud Build cannot derive them.
need_settings() {
  [ -n "${GATEWAY[*]:-}" ] || die "GATEWAY is empty; see deploy/settings.example"
  local pair
  for pair in "${GATEWAY[@]}"; do
    local name=${pair%%=*}
    case " ${SECRETS[*]} " in
      *" $name "*) die "$name is a secret; take it out of GATEWAY, deploy/setup secrets asks for it" ;;
    esac
    [[ $pair != *'|'* ]] || die "$name: a | cannot be handed to gcloud"
    [ "$name" != SQUARE_OFF_AT ] || die "SQUARE_OFF_AT: take it out of GATEWAY; its own line tells schedule and gateway"
  done
  BROKER=$(gateway_setting BROKER paper)
  # Paper orders and live ones never share a ledger: limits count, and reconcile looks for every order at the broker.
  DATABASE=$SERVICE-$BROKER
}

# Live trading takes the token of one Fyers account only. If the settings do not name it, it is asked for here, before
# anything is released, and added to the settings.
need_client_id() {
  FYERS_CLIENT_ID=$(gateway_setting FYERS_CLIENT_ID "${FYERS_CLIENT_ID:-}")
  if [ "$BROKER" != fyers ] || [ -n "$FYERS_CLIENT_ID" ]; then return; fi
  if [ "$DRY_RUN" = yes ]; then
    FYERS_CLIENT_ID=XY01234
    return
  fi
  read -rp "FYERS_CLIENT_ID (the account that may log in, as Fyers' login asks for it): " FYERS_CLIENT_ID || true
  say ""
  [[ $FYERS_CLIENT_ID =~ ^[A-Za-z0-9]{4,20}$ ]] ||
    die "FYERS_CLIENT_ID: ${FYERS_CLIENT_ID:-nothing} is no client id of Fyers'; nothing was released"
  printf '\n# The Fyers account that may log in.\nFYERS_CLIENT_ID=%s\n' "$FYERS_CLIENT_ID" >>"$SETTINGS"
}

# gateway_setting NAME DEFAULT
gateway_setting() {
  local pair found=$2
  for pair in "${GATEWAY[@]}"; do
    if [[ $pair == "$1="?* ]]; then found=${pair#*=}; fi
  done
  printf '%s\n' "$found"
}

# The address is known before the service exists: it is made of name, project number and region.
find_url() {
  local number
  number=$(gc_ask 000000000000 projects describe "$PROJECT" --format='value(projectNumber)')
  URL=https://$SERVICE-$number.$REGION.run.app
}

# --- secrets ----------------------------------------------------------------------------------------------------------

secret_id() { tr 'A-Z_' 'a-z-' <<<"$1"; }

known_secrets() {
  gc_ask "$(secret_id "$(printf '%s\n' "${SECRETS[@]}")")" secrets list --format='value(name.basename())'
}

# The number of the newest version that can be read; nothing where there is none.
newest_version() {
  gc_ask 1 secrets versions list "$1" --filter=state=ENABLED --sort-by=~createTime --limit=1 \
    --format='value(name.basename())'
}

# Stores standard input as the newest version of a secret.
add_version() { gc_fed secrets versions add "$1" --data-file=-; }

# A secret that can be pasted anywhere: 32 random bytes as letters, digits, - and _.
new_secret() { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n'; }

# --- the service ------------------------------------------------------------------------------------------------------

# revision_flags DEFAULTS: fills ENVIRONMENT with the gateway's settings and PLACE with where and as whom it runs.
# DEFAULTS is the checksum of the image's defaults. After need_settings, find_url.
revision_flags() {
  local env=(
    "GOOGLE_CLOUD_PROJECT=$PROJECT"
    "LEDGER_URL=firestore://$PROJECT/$DATABASE"
    "GCS_BUCKET_NAME=$BUCKET"
    "GCS_TOKENS_FILE=fyers-token.json"
    "SYMBOL_CACHE=gs://$BUCKET/symbols-$BROKER"
    "NOTIFICATION_TOPIC=projects/$PROJECT/topics/$TOPIC"
    "OIDC_AUDIENCE=$URL"
    "OIDC_SERVICE_ACCOUNT=$SCHEDULER"
    "FYERS_REDIRECT_URI=$URL/auth/callback"
    "${GATEWAY[@]}"
  )
  if [ -n "${SQUARE_OFF_AT:-}" ]; then env+=("SQUARE_OFF_AT=$SQUARE_OFF_AT"); fi
  if [ -n "${FYERS_CLIENT_ID:-}" ] && [ -z "$(gateway_setting FYERS_CLIENT_ID "")" ]; then
    env+=("FYERS_CLIENT_ID=$FYERS_CLIENT_ID")
  fi
  if [ -n "$1" ]; then env+=("BUILD_DEFAULTS=$1"); fi
  local joined secrets=() known name id version
  joined=$(
    IFS='|'
    printf '%s' "${env[*]}"
  )
  # A revision names the versions of its secrets: all its instances agree, and a rollback restores the versions of its
  # revision.
  known=$(known_secrets)
  for name in "${SECRETS[@]}"; do
    id=$(secret_id "$name")
    grep -qx "$id" <<<"$known" || continue
    version=$(newest_version "$id")
    if [ -n "$version" ]; then secrets+=("$name=$id:$version"); fi
  done
  [ "${#secrets[@]}" -gt 0 ] || die "Secret Manager has none of the secrets yet: deploy/setup secrets"
  ENVIRONMENT=(
    --set-env-vars="^|^$joined"
    --set-secrets="$(
      IFS=,
      printf '%s' "${secrets[*]}"
    )"
  )
  PLACE=(
    --region="$REGION"
    --service-account="$RUNTIME"
    # All traffic leaves through the VPC, and so through the one address that is registered at Fyers. Without
    # all-traffic only private addresses would take that way.
    --network="$SERVICE" --subnet="$SERVICE" --vpc-egress=all-traffic
  )
}

# Fills FLAGS with everything that makes a revision besides its image; DEFAULTS is the checksum of the image's defaults.
service_flags() {
  revision_flags "$1"
  FLAGS=(
    "${ENVIRONMENT[@]}"
    "${PLACE[@]}"
    # TradingView cannot sign in to Google, so Google lets every request through and the gateway checks credentials
    # itself: the alert's secret, or a token on the operator's and the scheduler's routes. With the check switched on
    # Google would also remove the signature of every OIDC token, and the gateway could not verify it.
    --ingress=all --no-invoker-iam-check
    # As many requests as gunicorn has threads (app/runtime/server.py): one more would wait in a queue that is not
    # measured.
    --concurrency=16
    # Together the instances share one account at Fyers and one ledger document; more of them would only race.
    --max-instances="${MAX_INSTANCES:-1}"
    --cpu=1 --memory=512Mi --cpu-boost
    # CPU only while a request is answered. That is enough: nothing depends on a background thread, and notices are sent
    # before the answer or by the next reconcile. With --no-cpu-throttling a warm instance would cost as much as a busy
    # one.
    --cpu-throttling
    # Above the gateway's own bounds (2.5 s for an alert, 50 s for a task): this one answers 504 and stops nothing.
    --timeout=60
    # An instance gets alerts once it has reached Firestore and the bucket (app/runtime/bootstrap.py): the first packets
    # of a new instance on a VPC can take long, and no alert should wait for that. Google probes again after a second at
    # the earliest, so each probe waits for the result itself (app/runtime/starting.py).
    "--startup-probe=httpGet.path=/started,httpGet.port=8080,periodSeconds=1,timeoutSeconds=1,failureThreshold=120"
    # It reaches nothing outside: an outage at Fyers or Google must not restart one instance after the other.
    "--liveness-probe=httpGet.path=/healthz,httpGet.port=8080,periodSeconds=30,timeoutSeconds=5,failureThreshold=3"
  )
}

# The revision that all alerts go to now; dies where traffic is split.
serving_revision() {
  local found
  found=$(gc_ask "100,$SERVICE-00001-abc" run services describe "$SERVICE" --region="$REGION" \
    --flatten='status.traffic[]' --format='csv[no-heading](status.traffic.percent,status.traffic.revisionName)' |
    awk -F, '$1 == 100 { print $2 }')
  [ -n "$found" ] || die "no revision has all the traffic; decide by hand: gcloud run services update-traffic $SERVICE"
  printf '%s\n' "$found"
}

# The settings of a revision and the versions of its secrets, to compare with another's.
environment_of() {
  gc_ask FYERS_CLIENT_ID run revisions describe "$1" --region="$REGION" --format='value(spec.containers[0].env)'
}

# Identifies a build's defaults: a checksum of the list of all settings. Each revision has it in its environment, so
# revisions whose builds have other limits differ in their environments.
defaults_here() {
  local sum size
  read -r sum size < <(grep -E '^[A-Z_]+=' "$ROOT/.env.example" | cksum)
  printf 'defaults-%s-%s\n' "$sum" "$size"
}

# The checksum of a revision; nothing for one that was released before there were checksums.
defaults_of() { environment_of "$1" | grep -oE 'defaults-[0-9]+-[0-9]+' || true; }

image_of() {
  gc_ask "$IMAGES:first" run revisions describe "$1" --region="$REGION" --format='value(spec.containers[0].image)'
}

# --- builds -----------------------------------------------------------------------------------------------------------

# build TAG RELEASE: uploads this folder, tests it as an account that can deploy nothing and read no secret, and builds
# what was tested. RELEASE is yes or no: whether it also gets traffic.
build() {
  local tested
  tested=$(gc builds submit "$ROOT" --config="$ROOT/cloudbuild.test.yaml" --suppress-logs \
    --service-account="projects/$PROJECT/serviceAccounts/$TESTER" --gcs-source-staging-dir="gs://$SOURCES/source" \
    --format='value[separator="/"](source.storageSource.bucket,source.storageSource.object)')
  if [ "$DRY_RUN" = yes ]; then tested=$SOURCES/source/tested.tgz; fi
  gc builds submit "gs://$tested" --config="$ROOT/cloudbuild.yaml" \
    --service-account="projects/$PROJECT/serviceAccounts/$BUILDER" \
    --substitutions="_REGION=$REGION,_SERVICE=$SERVICE,_TAG=$1,_RELEASE=$2"
}

# The configuration files of swift-up; sourced, not run. $etc is where they go.

# What each of Swift's own processes begins with.
common() {
  cat <<CONF
[DEFAULT]
swift_dir = $etc
devices = $STATE/devices
mount_check = false
disable_fallocate = true
bind_ip = 127.0.0.1
bind_port = $1
user = $(id -un)
log_level = INFO
workers = $SWIFT_WORKERS
recon_cache_path = $STATE/cache
CONF
}

# Two storage policies; the middleware pca seals the second.
write_swift() {
  write "$etc/swift.conf" <<CONF
[swift-hash]
swift_hash_path_prefix = servers
swift_hash_path_suffix = servers
[storage-policy:0]
name = PCS
aliases = hot
default = yes
[storage-policy:1]
name = PCA
aliases = archive
[swift-constraints]
max_file_size = $SWIFT_MAX_FILE_SIZE
CONF
}

# The time-outs are long, so that listings stay consistent on a slow machine: a
# container update that is given up is sent again by the updater, after the answer.
write_storage() {
  local kind port
  for kind in account container object; do
    port=${kind}_port
    write "$etc/$kind-server.conf" <<CONF
$(common "${!port}")
conn_timeout = 10
node_timeout = 60
container_update_timeout = 60
[pipeline:main]
pipeline = healthcheck $kind-server
[filter:healthcheck]
use = egg:swift#healthcheck
[app:$kind-server]
use = egg:swift#$kind
[$kind-replicator]
[$kind-auditor]
[$kind-updater]
interval = 30
concurrency = 1
[container-sync]
[container-sharder]
[account-reaper]
CONF
  done
}

# How Swift itself logs in to Keystone.
service_user() {
  cat <<CONF
auth_url = $auth_url
auth_type = password
username = swift
password = swift-service
project_name = service
user_domain_id = default
project_domain_id = default
CONF
}

write_proxy() {
  write "$etc/proxy-server.conf" <<CONF
$(common "$proxy_port")
expose_info = true
client_timeout = 600
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk tempurl authtoken s3api s3token keystoneauth tempauth copy container-quotas account-quotas pca slo dlo versioned_writes symlink proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 10
node_timeout = 60
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$memcached_port
connect_timeout = 10
pool_timeout = 60
io_timeout = 60
error_suppression_limit = 1000000
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:tempurl]
use = egg:swift#tempurl
[filter:authtoken]
paste.filter_factory = tempfirst:filter_factory
www_authenticate_uri = $auth_url
$(service_user)
delay_auth_decision = true
memcached_servers = 127.0.0.1:$memcached_port
token_cache_time = 5
service_token_roles_required = true
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
min_segment_size = 1
[filter:s3token]
use = egg:swift#s3token
auth_uri = $auth_url
reseller_prefix = AUTH_
delay_auth_decision = true
secret_cache_duration = 60
$(service_user)
[filter:keystoneauth]
use = egg:swift#keystoneauth
reseller_prefix = AUTH
operator_roles = admin, member
system_reader_roles =
project_reader_roles = reader
[filter:tempauth]
use = egg:swift#tempauth
reseller_prefix = TEMP
user_test_tester = tester-secret .admin
user_test_reader = reader-secret
user_other_other = other-secret .admin
storage_url_scheme = http
[filter:copy]
use = egg:swift#copy
[filter:container-quotas]
use = egg:swift#container_quotas
[filter:account-quotas]
use = egg:swift#account_quotas
[filter:pca]
paste.filter_factory = pca:filter_factory
policies = PCA
state_db = $STATE/pca.sqlite
control_dir = $STATE/pca
event_log = $STATE/pca-events.jsonl
seal_after = $PCA_SEAL_AFTER
unseal_delay = $PCA_UNSEAL_DELAY
unsealed_for = $PCA_UNSEALED_FOR
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 1000
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
CONF
}

# enforce_scope off: roles of a project suffice, as in most clouds.
write_keystone() {
  write "$keystone/keystone.conf" <<CONF
[DEFAULT]
use_stderr = true
log_dir =
public_endpoint = http://127.0.0.1:$keystone_port
[database]
connection = sqlite:///$keystone/keystone.sqlite
[cache]
enabled = true
backend = oslo_cache.dict
[token]
provider = fernet
expiration = 3600
[fernet_tokens]
key_repository = $keystone/fernet
[fernet_receipts]
key_repository = $keystone/fernet
[credential]
key_repository = $keystone/credential
[identity]
password_hash_rounds = 4
[oslo_policy]
enforce_scope = false
CONF
}

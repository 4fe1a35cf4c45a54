#!/bin/bash
# Executes one Kafka node, broker and controller: writes its settings from the secrets at each start, formats its data once.
# XINDUN_KAFKA_NODE is its number, of XINDUN_KAFKA_NODES; XINDUN_KAFKA_TLS=yes enables TLS for clients.
set -euo pipefail
umask 077
data=/var/lib/kafka/data secrets=/run/secrets settings=/tmp/server.properties
node=$XINDUN_KAFKA_NODE nodes=$XINDUN_KAFKA_NODES
if ((node > nodes)); then
  echo "kafka-$node: XINDUN_KAFKA_NODES is $nodes; three nodes need deploy/compose/scale.env" >&2
  exit 64
fi
secret=$(<"$secrets/cluster_password")
voters=$(for ((n = 1; n <= nodes; n++)); do printf '%s%d@kafka-%d:9093' "${list:-}" "$n" "$n"; list=,; done)
replicas=$((nodes < 3 ? nodes : 3))
in_sync=$((replicas > 1 ? replicas - 1 : 1))
plain="org.apache.kafka.common.security.plain.PlainLoginModule required username=\"controller\" password=\"$secret\" user_controller=\"$secret\";"

write() { # write DATA FILE
  local clients=SASL_PLAINTEXT
  [[ ${XINDUN_KAFKA_TLS:-no} == yes ]] && clients=SASL_SSL
  cat >"$2" <<SETTINGS
process.roles=broker,controller
node.id=$node
controller.quorum.voters=$voters
listeners=CLIENTS://:9092,CONTROLLER://:9093,INTERNAL://:9094
advertised.listeners=CLIENTS://kafka-$node:9092,INTERNAL://kafka-$node:9094
inter.broker.listener.name=INTERNAL
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENTS:$clients,INTERNAL:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT
listener.name.clients.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.clients.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.internal.sasl.enabled.mechanisms=PLAIN
listener.name.internal.plain.sasl.jaas.config=$plain
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config=$plain
sasl.mechanism.inter.broker.protocol=PLAIN
sasl.mechanism.controller.protocol=PLAIN
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:admin;User:controller
log.dirs=$1
auto.create.topics.enable=false
default.replication.factor=$replicas
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=$in_sync
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
message.max.bytes=1048588
socket.request.max.bytes=8388608
log.cleaner.dedupe.buffer.size=4194304
log.cleaner.backoff.ms=500
num.network.threads=2
num.io.threads=4
SETTINGS
  if [[ $clients == SASL_SSL ]]; then
    cat "$secrets/key.pem" "$secrets/certificate.pem" >/tmp/keystore.pem
    printf '%s\n' listener.name.clients.ssl.keystore.type=PEM \
      listener.name.clients.ssl.keystore.location=/tmp/keystore.pem >>"$2"
  fi
}

if [[ ! -e $data/node ]]; then
  # Format a temporary directory, then rename it. The password is in a file: process lists show arguments.
  rm -rf "$data/new"
  write "$data/new" /tmp/format.properties
  printf '%s\n' format --cluster-id "$(<"$secrets/cluster_id")" --config /tmp/format.properties \
    --add-scram "SCRAM-SHA-512=[name=admin,password=$(<"$secrets/admin_password")]" >/tmp/format.arguments
  # The output holds a password verifier: print it only after a failure.
  /opt/kafka/bin/kafka-run-class.sh kafka.tools.StorageTool @/tmp/format.arguments >/tmp/format.log || { cat /tmp/format.log >&2; exit 1; }
  rm /tmp/format.*
  mv "$data/new" "$data/node"
fi
write "$data/node" "$settings"
exec /opt/kafka/bin/kafka-run-class.sh kafka.Kafka "$settings"

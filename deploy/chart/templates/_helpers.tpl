{{/* Each role's port, the roles that it calls (`peers` in deploy/config), and whether it is a core role with a
database schema. */}}
{{- define "takedown.roles" -}}
ledger: {port: 7413, core: true, calls: [intake, verification, dispatch]}
dispatch: {port: 7412, core: true, calls: [verification, ledger]}
intake: {port: 7410, core: true, calls: [verification, dispatch]}
verification: {port: 7411, core: true, calls: [intake, dispatch]}
gateway: {port: 7401, core: false, calls: [intake, dispatch]}
console: {port: 7400, core: false, calls: [intake, verification, dispatch, ledger]}
{{- end }}

{{/* (root, component): the labels that select its pods. A Deployment's selector is immutable. */}}
{{- define "takedown.selector" -}}
app.kubernetes.io/name: takedown
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* (root, component) */}}
{{- define "takedown.labels" -}}
{{- $root := index . 0 -}}
{{ include "takedown.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{- define "takedown.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* (root, role): the addresses of the roles that it calls. */}}
{{- define "takedown.peers" -}}
{{- $root := index . 0 -}}
{{- $roles := include "takedown.roles" $root | fromYaml -}}
[peers]
{{- range (index $roles (index . 1)).calls }}
{{ . }} = "https://{{ $root.Release.Name }}-{{ . }}:{{ (index $roles .).port | int }}"
{{- end }}
{{- end }}

{{- define "takedown.bus" -}}
[bus]
kind = {{ .Values.bus.kind | toJson }}
{{- if eq .Values.bus.kind "kafka" }}
bootstrap = {{ .Values.bus.bootstrap | toJson }}

[bus.tls]
ca = "/etc/takedown/kafka/ca.crt"
certificate = "/etc/takedown/kafka/tls.crt"
key = "/etc/takedown/kafka/tls.key"
{{- end }}
{{- end }}

{{/* (root, role): the data of the role's ConfigMap. The pods carry its hash, so that a change replaces the
pods. */}}
{{- define "takedown.config" -}}
{{- $root := index . 0 -}}
{{- $role := index . 1 -}}
{{ $role }}.toml: |
  {{- tpl ($root.Files.Get (printf "config/%s.toml" $role)) $root | trim | nindent 2 }}
{{- if and (eq $role "dispatch") $root.Values.dispatch.policy }}
policy.yaml: |
  {{- $root.Values.dispatch.policy | trim | nindent 2 }}
{{- end }}
{{- end }}

{{/* Required by Pod Security "restricted". The group may read the Secrets' files, which belong to root. */}}
{{- define "takedown.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "takedown.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Egress to the database and, if used, Kafka. */}}
{{- define "takedown.storeEgress" -}}
{{- $network := .Values.network -}}
- to: {{- toYaml $network.database.to | nindent 4 }}
  ports: [{port: {{ $network.database.port }}, protocol: TCP}]
{{- if eq .Values.bus.kind "kafka" }}
- to: {{- toYaml $network.kafka.to | nindent 4 }}
  ports: [{port: {{ $network.kafka.port }}, protocol: TCP}]
{{- end }}
{{- end }}

{{- define "takedown.dnsEgress" -}}
- to: {{- toYaml .Values.network.dns | nindent 4 }}
  ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end }}

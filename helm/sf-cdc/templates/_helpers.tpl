{{- define "sf-cdc.name" -}}
{{- printf "%s-%s" .Release.Name "sf-cdc" | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "sf-cdc.selector" -}}
app.kubernetes.io/name: sf-cdc
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sf-cdc.labels" -}}
{{ include "sf-cdc.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* The settings with what the chart decides: files, addresses. Refuses what would make two writers. */ -}}
{{- define "sf-cdc.settings" -}}
{{- $s := deepCopy .Values.settings -}}
{{- $log := merge (dict "path" "/var/lib/sf-cdc/log.sqlite") (default dict $s.log) -}}
{{- if and (ne .Values.mode "single") (ne (default "kafka" $log.kind) "kafka") -}}
{{- fail (printf "mode %s needs settings.log.kind = kafka: the roles share nothing but the log" .Values.mode) -}}
{{- end -}}
{{- $_ := set $s "log" $log -}}
{{- $_ = set $s "journal" (merge (dict "path" "/var/lib/sf-cdc/journal.duckdb" "segments" "/var/lib/sf-cdc/segments") (default dict $s.journal)) -}}
{{- $given := default dict .Values.settings.journal -}}
{{- $isLake := hasPrefix "ducklake:postgres:" (default "" $given.path) -}}
{{- if ne (eq .Values.mode "lake") $isLake -}}
{{- fail "mode lake and settings.journal.path = ducklake:postgres:… belong together: only DuckLake lets several workers write" -}}
{{- end -}}
{{- if $isLake -}}
{{- if not .Values.lake.claim -}}
{{- fail "mode lake needs lake.claim: a volume that every worker can read and write" -}}
{{- end -}}
{{- $_ = set $s "journal" (merge (dict "path" $given.path "segments" "/var/lib/sf-cdc-lake" "shards" (int .Values.lake.workers)) $given) -}}
{{- end -}}
{{- $_ = set $s "detect" (merge (dict "state_path" "/var/lib/sf-cdc/detect.state") (default dict $s.detect)) -}}
{{- $_ = set $s "alerts" (merge (dict "positions" "/var/lib/sf-cdc/alerts.positions") (default dict $s.alerts)) -}}
{{- $_ = set $s "api" (merge (dict "listen" "0.0.0.0:8484" "tokens_file" "/run/secrets/sf-cdc/api/tokens" "token_file" "/tmp/cdc.token") (default dict $s.api)) -}}
{{- $_ = set $s "metrics" (merge (dict "listen" "0.0.0.0:9484") (default dict $s.metrics)) -}}
{{- $salesforce := default dict $s.salesforce -}}
{{- $auth := default "client_credentials" $salesforce.auth -}}
{{- $files := dict "client_credentials" "client_secret" "jwt" "private_key" "refresh_token" "refresh_token" "access_token" "access_token" -}}
{{- $key := get $files $auth -}}
{{- $_ = set $salesforce (printf "%s_file" $key) (printf "/run/secrets/sf-cdc/salesforce/%s" $key) -}}
{{- if eq $auth "refresh_token" -}}
{{- $_ = set $salesforce "client_secret_file" "/run/secrets/sf-cdc/salesforce/client_secret" -}}
{{- end -}}
{{- $restore := merge (dict "folder" "/var/lib/sf-cdc/plans") (default dict $s.restore) -}}
{{- if .Values.secrets.restore -}}
{{- $rkey := get $files (default "client_credentials" $restore.auth) -}}
{{- $_ = set $restore (printf "%s_file" $rkey) (printf "/run/secrets/sf-cdc/restore/%s" $rkey) -}}
{{- end -}}
{{- $_ = set $s "restore" $restore -}}
{{- if .Values.secrets.signing -}}
{{- $_ = set $s.journal "signing_key_file" "/run/secrets/sf-cdc/signing/signing_key" -}}
{{- end -}}
{{- if .Values.secrets.webhook -}}
{{- $_ = set $s.alerts "webhook_secret_file" "/run/secrets/sf-cdc/webhook/webhook_secret" -}}
{{- end -}}
{{- toToml $s -}}
{{- end -}}

{{- /* A StatefulSet of one pod: (dict "root" $ "role" "run" "api" true "size" "50Gi") */ -}}
{{- define "sf-cdc.statefulset" -}}
{{- $root := .root -}}
{{- $name := printf "%s-%s" (include "sf-cdc.name" $root) .role -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  labels:
    {{- include "sf-cdc.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
spec:
  # Never two writers: a StatefulSet ends the old pod before it starts the new one. Workers of a lake share its parts out.
  replicas: {{ default 1 .replicas }}
  serviceName: {{ include "sf-cdc.name" $root }}
  podManagementPolicy: {{ ternary "Parallel" "OrderedReady" (gt (int (default 1 .replicas)) 1) }}
  updateStrategy: {type: RollingUpdate}
  selector:
    matchLabels:
      {{- include "sf-cdc.selector" $root | nindent 6 }}
      app.kubernetes.io/component: {{ .role }}
  template:
    metadata:
      labels:
        {{- include "sf-cdc.labels" $root | nindent 8 }}
        app.kubernetes.io/component: {{ .role }}
        {{- with $root.Values.podLabels }}{{ toYaml . | nindent 8 }}{{ end }}
      annotations:
        checksum/settings: {{ include "sf-cdc.settings" $root | sha256sum }}
        {{- with $root.Values.podAnnotations }}{{ toYaml . | nindent 8 }}{{ end }}
    spec:
      serviceAccountName: {{ include "sf-cdc.name" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 10001
        runAsGroup: 10001
        fsGroup: 10001
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile: {type: RuntimeDefault}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets: {{ toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.nodeSelector }}
      nodeSelector: {{ toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.tolerations }}
      tolerations: {{ toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.affinity }}
      affinity: {{ toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: cdc
          image: "{{ $root.Values.image.repository }}:{{ default $root.Chart.AppVersion $root.Values.image.tag }}"
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: ["--config", "/etc/sf-cdc/cdc.toml", "{{ .role }}"]
          workingDir: /var/lib/sf-cdc
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            runAsNonRoot: true
            capabilities: {drop: [ALL]}
          {{- with $root.Values.extraEnv }}
          env: {{ toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - {name: http, containerPort: {{ ternary 8484 9484 .api }}, protocol: TCP}
          # Liveness asks the process and its journal alone: Kafka and Salesforce may be away for hours.
          startupProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: {{ $root.Values.probes.periodSeconds }}
            failureThreshold: {{ div $root.Values.probes.startupSeconds $root.Values.probes.periodSeconds }}
          livenessProbe:
            httpGet: {path: /healthz, port: http}
            periodSeconds: {{ $root.Values.probes.periodSeconds }}
            timeoutSeconds: 5
            failureThreshold: 6
          readinessProbe:
            httpGet: {path: /readyz, port: http}
            periodSeconds: {{ $root.Values.probes.periodSeconds }}
            timeoutSeconds: 5
          resources: {{ toYaml $root.Values.resources | nindent 12 }}
          volumeMounts:
            - {name: data, mountPath: /var/lib/sf-cdc}
            - {name: tmp, mountPath: /tmp}
            {{- if .shared }}
            - {name: lake, mountPath: /var/lib/sf-cdc-lake}
            {{- end }}
            - {name: settings, mountPath: /etc/sf-cdc, readOnly: true}
            {{- range $kind, $secret := include "sf-cdc.mounted" $root | fromYaml }}
            - {name: secret-{{ $kind }}, mountPath: /run/secrets/sf-cdc/{{ $kind }}, readOnly: true}
            {{- end }}
      volumes:
        - {name: tmp, emptyDir: {sizeLimit: 1Gi}}
        - name: settings
          configMap: {name: {{ include "sf-cdc.name" $root }}}
        {{- range $kind, $secret := include "sf-cdc.mounted" $root | fromYaml }}
        - name: secret-{{ $kind }}
          secret: {secretName: {{ $secret }}, defaultMode: 288}
        {{- end }}
        {{- with .shared }}
        - name: lake
          persistentVolumeClaim: {claimName: {{ . }}}
        {{- end }}
        {{- if not .size }}
        - {name: data, emptyDir: {}}
        {{- end }}
  {{- if .size }}
  volumeClaimTemplates:
    - metadata:
        name: data
        labels: {{ include "sf-cdc.selector" $root | nindent 10 }}
      spec:
        accessModes: {{ toYaml $root.Values.persistence.accessModes | nindent 10 }}
        {{- with $root.Values.persistence.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources: {requests: {storage: {{ .size }}}}
  {{- end }}
{{- end -}}

{{- define "sf-cdc.mounted" -}}
salesforce: {{ .Values.secrets.salesforce }}
api: {{ .Values.secrets.apiTokens }}
{{- with .Values.secrets.restore }}
restore: {{ . }}
{{- end }}
{{- with .Values.secrets.signing }}
signing: {{ . }}
{{- end }}
{{- with .Values.secrets.webhook }}
webhook: {{ . }}
{{- end }}
{{- end -}}
